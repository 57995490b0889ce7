import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretError, type Secrets } from "../../../core/keys/secrets.ts";
import type { ResultEvent } from "../../../core/state/events.ts";
import type { PendingIntent } from "../../../core/state/records.ts";
import { createEffects } from "../../../core/effects/effects.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import { OPEN_SECRETS } from "../../support/keys.ts";
import { eventually, never } from "../../support/eventually.ts";
import { createHmac } from "node:crypto";
import { NOT_ASKED, type VerificationMethod } from "../../../shared/outbound/verification.ts";
import { VERIFICATION_BOUNDS } from "../../../shared/outbound/verification-turns.ts";
import { parameterOf } from "../../support/form.ts";

const NOTICE = {
  topic: "https://example.com/a b",
  callback: "http://subscriber.example/x?k=1",
  reason: "not registered",
};
const CALLBACK = NOTICE.callback;
const INTENT: PendingIntent = {
  id: "intent-1",
  offset: 7,
  time: 0,
  mode: "subscribe",
  topic: NOTICE.topic,
  callback: NOTICE.callback,
  end: 0,
  leaseMs: 60_000,
};
const NETWORK: OutboundAnswer = { kind: "failed", code: "network", reason: "nobody is there" };

function answered(status: number, body = ""): (request: OutboundRequest) => OutboundAnswer {
  return ({ url }) => ({ kind: "answer", status, headers: {}, body: Buffer.from(body), url });
}

/** Confirms every challenge. */
const echo = (request: OutboundRequest): OutboundAnswer =>
  answered(200, parameterOf(request.url.split("?").slice(1).join("?"), "hub.challenge"))(request);

interface Script {
  readonly calls: OutboundRequest[];
  readonly stop: AbortController;
  readonly effects: ReturnType<typeof createEffects>;
  answer: (request: OutboundRequest, nth: number) => OutboundAnswer | Promise<OutboundAnswer>;
  /** Called when a result is to be written; throws if the log is to be away. */
  log: () => void;
}

function script(
  answer: Script["answer"],
  method: VerificationMethod = { by: "challenge" },
  secrets: Pick<Secrets, "open"> = OPEN_SECRETS,
): Script {
  const calls: OutboundRequest[] = [];
  const stop = new AbortController();
  const outbound: Outbound = {
    supports: { pinning: true },
    async call(request) {
      calls.push(request);
      return await run.answer(request, calls.length);
    },
    close: () => Promise.resolve(),
  };
  const resultOf = ({ intent, topic, callback, verified, reason, elapsedMs, id }: Parameters<
    Parameters<typeof createEffects>[0]["operations"]["resultOf"]
  >[0]): Promise<ResultEvent> => {
    run.log();
    const event = { type: "result", id, time: 1_000, intent, topic, callback, verified } as const;
    return Promise.resolve({
      ...event,
      challengedAt: 1_000 - elapsedMs,
      ...(reason === undefined ? {} : { reason }),
    });
  };
  const fetcher = { fetch: () => {}, hurry: () => {} };
  const run: Script = {
    calls,
    stop,
    answer,
    log: () => {},
    effects: createEffects({
      outbound,
      operations: { resultOf },
      secrets,
      fetcher,
      method,
      clock: () => 1_000,
      replayLetter: () => Promise.resolve(undefined),
      signal: stop.signal,
    }),
  };
  return run;
}

describe("§5.2 a denied notice", { timeout: 30_000 }, () => {
  it("§5.2 is one GET with mode, topic and reason after the callback's own query, whatever the answer is", async () => {
    for (const answer of [answered(200), answered(404), answered(500, "x".repeat(100))]) {
      const { effects, calls } = script(answer);
      await new Promise<void>((sent) => effects.notify(NOTICE, sent));
      assert.equal(calls.length, 1);
      const { method, url } = calls[0]!;
      assert.equal(method, "GET");
      assert.ok(url.startsWith(`${NOTICE.callback}&hub.mode=denied&`), url);
      const query = url.slice(url.indexOf("?") + 1);
      assert.equal(parameterOf(query, "hub.topic"), NOTICE.topic);
      assert.equal(parameterOf(query, "hub.reason"), "not registered");
    }
  });

  it("WIRE §2 is never sent again to a host that the guard forbids", async () => {
    const { effects, calls } = script(() => ({ kind: "failed", code: "forbidden", reason: "10.0.0.1" }));
    await new Promise<void>((sent) => effects.notify(NOTICE, sent));
    assert.equal(calls.length, 1);
  });

  it("is tried again if no answer came, and then counts as sent", async () => {
    const { effects, calls } = script((request, nth) => nth === 1 ? NETWORK : answered(200)(request));
    await new Promise<void>((sent) => effects.notify(NOTICE, sent));
    assert.equal(calls.length, 2);
  });

  it("does not wait behind those to another requester's callbacks that never answer", async () => {
    const { effects, calls } = script((request) =>
      request.url.includes("hang") ? new Promise(() => {}) : answered(200)(request)
    );
    for (let n = 0; n < 300; n++) {
      const callback = `https://h${n}.example:${4_000 + n}/hang`;
      effects.notify(
        { topic: "t", callback, reason: "r", requester: "aaaaaaaaaaaaaaaa" },
        () => assert.fail("answered"),
      );
    }
    await new Promise<void>((sent) => effects.notify({ ...NOTICE, requester: "bbbbbbbbbbbbbbbb" }, sent));
    assert.ok(calls.length <= 25, `${calls.length}`);
  });

  it("A3.10 is still owed if a stop interrupts it", async () => {
    const { effects, calls, stop } = script(() => NETWORK);
    let sent = false;
    effects.notify(NOTICE, () => sent = true);
    await eventually("a try", () => calls.length === 1);
    stop.abort();
    await never("sent", () => sent, 100);
  });
});

describe("A3.6 a verification by the owner", { timeout: 30_000 }, () => {
  it("WIRE §2 is a ping signed with the intent's secret if VERIFICATION says so; an unsubscribe still has a challenge", async () => {
    const { effects, calls } = script(answered(204), { by: "ping", signature: "sha1" });
    const subscribe = { ...INTENT, mode: "subscribe", secret: "s" } as const;
    assert.equal((await new Promise<ResultEvent>((found) => effects.verify(subscribe, found))).verified, true);
    const { method, headers, body } = calls[0]!;
    assert.equal(method, "POST");
    assert.equal(headers?.["x-hub-signature"], `sha1=${createHmac("sha1", "s").update(body!).digest("hex")}`);
    const unsubscribe = { ...INTENT, mode: "unsubscribe" } as const;
    assert.equal((await new Promise<ResultEvent>((found) => effects.verify(unsubscribe, found))).verified, false);
    assert.equal(calls[1]!.method, "GET");
    const chosen = { ...subscribe, signature: "sha512" } as const;
    await new Promise<ResultEvent>((found) => effects.verify(chosen, found));
    assert.match(String(calls[2]!.headers?.["x-hub-signature"]), /^sha512=/, "by hub.signature, if it was sent");
  });

  it("ARCHITECTURE §5 fails where the verify token cannot be opened, and asks nothing", async () => {
    const { effects, calls } = script(echo, { by: "challenge" }, {
      open: () => {
        throw new SecretError("unknown_key", 'the secret is sealed to key "old"');
      },
    });
    const result = await new Promise<ResultEvent>((found) => effects.verify({ ...INTENT, sealedToken: "x" }, found));
    assert.deepEqual([result.verified, calls.length], [false, 0]);
  });

  it("§5.3 asks as an edge would, and a good answer is a result of its intent", async () => {
    const { effects, calls } = script(echo);
    const result = await new Promise<ResultEvent>((found) => effects.verify(INTENT, found));
    assert.equal(calls.length, 1);
    const query = calls[0]!.url.slice(calls[0]!.url.indexOf("?") + 1);
    assert.equal(parameterOf(query, "hub.mode"), "subscribe");
    assert.equal(parameterOf(query, "hub.lease_seconds"), "60");
    assert.equal(result.intent, INTENT.id);
    assert.equal(result.verified, true);
    assert.ok(result.challengedAt <= 1_000 && result.challengedAt > 0, "A3.7: from the challenge");
  });

  it("§5.3.1 any other complete answer is a no", async () => {
    for (const answer of [answered(404), answered(200, "wrong"), answered(302)]) {
      const { effects, calls } = script(answer);
      assert.equal((await new Promise<ResultEvent>((found) => effects.verify(INTENT, found))).verified, false);
      assert.equal(calls.length, 1);
    }
  });

  it("WIRE §2 a callback that asks for a pause is asked again after it, and holds no place meanwhile", async () => {
    const { effects, calls } = script((request, nth) => {
      return nth > 64
        ? echo(request)
        : { ...answered(429)(request), headers: { "retry-after": "2" } } as OutboundAnswer;
    });
    const results: ResultEvent[] = [];
    let callsOfFirst = 0;
    for (let n = 0; n < 65; n++) {
      effects.verify({ ...INTENT, id: `intent-${n}`, callback: `${CALLBACK}${n}` }, (result) => {
        results.push(result);
        if (results.length === 1) callsOfFirst = calls.length;
      });
    }
    await eventually("all results", () => results.length === 65);
    assert.deepEqual(
      [results[0]!.intent, callsOfFirst],
      ["intent-64", 65],
      "the one that came last waits for no pause",
    );
    assert.ok(results.every(({ verified }) => verified));
    assert.equal(calls.length, 129);
  });

  it("keeps the yes while the log is away, and writes it without another challenge", async () => {
    const run = script(echo);
    let away = 2;
    run.log = () => {
      if (away-- > 0) throw new Error("the log is away");
    };
    const result = await new Promise<ResultEvent>((found) => run.effects.verify(INTENT, found));
    assert.equal(result.verified, true);
    assert.equal(run.calls.length, 1);
    // The wait does not make the lease longer.
    assert.ok(result.challengedAt < 1_000 - 1_500, `${1_000 - result.challengedAt} ms since the challenge`);
  });

  it("A3.6 has no result if a stop interrupts it: the next owner asks again", async () => {
    const { effects, calls, stop } = script(async () => {
      await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
      return { kind: "failed", code: "aborted", reason: "stopping" };
    });
    let found = false;
    effects.verify(INTENT, () => found = true);
    await eventually("a try", () => calls.length === 1);
    stop.abort();
    await never("a result", () => found, 100);
  });

  it("§6.7 a bounded number runs at once, and hanging ones hold up no notice and no other requester", async () => {
    const { stop, effects, calls } = script(async (request) => {
      const query = request.url.slice(request.url.indexOf("?") + 1);
      if (parameterOf(query, "hub.mode") === "denied") return answered(200)(request);
      if (!request.url.includes("hanging")) return echo(request);
      await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
      return { kind: "failed", code: "aborted", reason: "stopping" };
    });
    const hanging = (n: number) => ({ ...INTENT, id: `intent-${n}`, requester: "stranger" });
    for (let n = 0; n < 1_000; n++) {
      effects.verify({ ...hanging(n), callback: `http://hanging${n % 10}.example/${n}` }, () => {});
    }
    // Its hosts, too, leave something to one that it has not asked yet.
    const most = VERIFICATION_BOUNDS.of.new / 2;
    await eventually("its share", () => calls.length > most - 10);
    const its = calls.length;
    assert.ok(its <= most);
    await new Promise<void>((sent) => effects.notify(NOTICE, sent));
    for (let n = 0; n < 20; n++) {
      const result = await new Promise<ResultEvent>((found) => effects.verify({ ...INTENT, requester: "one" }, found));
      assert.ok(result.verified);
    }
    assert.equal(calls.length, its + 1 + 20);
    stop.abort();
  });

  it("§6.7 more than may wait have failed, and say so", async () => {
    const { stop, effects } = script(async () => {
      await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
      return { kind: "failed", code: "aborted", reason: "stopping" };
    });
    const reasons = new Set<string | undefined>();
    let failed = 0;
    for (let n = 0; n < 10_000; n++) {
      effects.verify({ ...INTENT, id: `intent-${n}`, callback: `${CALLBACK}${n}` }, ({ reason }) => {
        failed++;
        reasons.add(reason);
      });
    }
    await eventually("some to fail", () => failed > 1_000);
    assert.deepEqual([...reasons], [NOT_ASKED]);
    stop.abort();
  });
});
