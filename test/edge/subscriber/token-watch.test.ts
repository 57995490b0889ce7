import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HubError } from "../../../edge/answers/hub-error.ts";
import type { Asker, Introspected } from "../../../edge/auth/access.ts";
import { TokenRefusal } from "../../../edge/auth/token-refusal.ts";
import { type TokenWatchTimes, watchToken } from "../../../edge/subscriber/token-watch.ts";
import { tokenAccess } from "../../../edge/auth/access.ts";
import { eventually, never } from "../../support/eventually.ts";
import { openEdge } from "../../support/rigs/edge.ts";
import { openFakeCore } from "../../support/rigs/fake-core.ts";
import { openTokenAccess } from "../../support/rigs/token-access.ts";
import { openIssuer } from "../../support/servers/issuer.ts";

const TIMES: TokenWatchTimes = { everyMs: 40, retryMs: 10, unsureMs: 200 };
type Answer = "active" | "revoked" | "away";

/** A stream by a token whose issuer gives this answer; `asked` has when it was asked. */
function open(answer: { now: Answer; expiresAt?: number }, more: { expiresAt?: number; jwt?: boolean } = {}) {
  const seen = { asked: [] as number[], ended: 0, since: [] as number[] };
  const introspected = (askedAt: number): Introspected => ({
    askedAt,
    again: async (askedSince): Promise<Asker> => {
      const at = Date.now();
      seen.asked.push(at);
      seen.since.push(at - askedSince);
      await Promise.resolve();
      if (answer.now === "away") throw new HubError("unavailable", "away");
      if (answer.now === "revoked") throw new TokenRefusal("not_active", "The access token is not active.");
      return { caller: { kind: "anyone" }, expiresAt: answer.expiresAt ?? Infinity, introspected: introspected(at) };
    },
  });
  const stop = watchToken({
    expiresAt: more.expiresAt ?? Infinity,
    introspected: more.jwt === true ? undefined : introspected(Date.now()),
    end: () => void (seen.ended += 1),
    clock: Date.now,
    times: TIMES,
  });
  return { seen, stop };
}

describe("WIRE §5 events by a token that was introspected", () => {
  it("go on while it is active, and end once it is revoked", async () => {
    const answer = { now: "active" as Answer };
    const { seen } = open(answer);
    await eventually("three questions", () => seen.asked.length >= 3);
    assert.equal(seen.ended, 0);
    assert.ok(seen.since.every((ms) => ms >= 10 && ms < TIMES.everyMs), "an answer of a moment ago counts");
    answer.now = "revoked";
    await eventually("the end", () => seen.ended === 1);
    const asked = seen.asked.length;
    await never("another question", () => seen.asked.length > asked || seen.ended > 1, 120);
  });

  it("go on while the provider cannot say, and end when it has not said for too long", async () => {
    const answer = { now: "away" as Answer };
    const back = open(answer);
    await eventually("two questions", () => back.seen.asked.length >= 2);
    answer.now = "active";
    await never("an end", () => back.seen.ended > 0, 250);
    back.stop();
    answer.now = "away";
    const begunAt = Date.now();
    const { seen } = open(answer);
    await eventually("the end", () => seen.ended === 1);
    assert.ok(Date.now() - begunAt >= TIMES.unsureMs);
  });

  it("end at the end that the last answer names", async () => {
    const answer = { now: "active" as Answer, expiresAt: Date.now() + 150 };
    const { seen } = open(answer);
    await eventually("the end", () => seen.ended === 1);
    assert.ok(Date.now() >= answer.expiresAt);
  });

  it("are asked about no more once they have ended", async () => {
    const { seen, stop } = open({ now: "active" });
    stop();
    await never("a question", () => seen.asked.length > 0, 100);
  });

  it("end at exp by a JWT, which nobody is asked about, and not at all without either", async () => {
    const jwt = open({ now: "revoked" }, { jwt: true, expiresAt: Date.now() + 60 });
    const none = open({ now: "revoked" }, { jwt: true });
    await eventually("the end", () => jwt.seen.ended === 1);
    assert.deepEqual([jwt.seen.asked, none.seen.ended], [[], 0]);
  });
});

describe("WIRE §6 an edge's streams of events", () => {
  it("end with their token, or when it speaks for another client or has lost its right; one question is for all of a token", async () => {
    const [core, issuer] = [await openFakeCore(), await openIssuer()];
    const tokens = openTokenAccess({
      INTROSPECTION_URL: `${issuer.url}/introspect`,
      INTROSPECTION_CLIENT_ID: "hub",
      INTROSPECTION_CLIENT_SECRET: "s",
    });
    const edge = await openEdge([core.origin], {
      access: tokenAccess(tokens),
      tokenWatch: { everyMs: 100, retryMs: 20, unsureMs: 60_000 },
    });
    try {
      core.onQuestion = () =>
        new Response(
          new ReadableStream<Uint8Array>({ start: (made) => made.enqueue(new TextEncoder().encode(":\n\n")) }),
          { headers: { "content-type": "text/event-stream" } },
        );
      const right = { aud: "hub", scope: "websub:subscribe" };
      const streams = ["revoked", "another", "rightless", "good", "good"].map(async (token) => {
        issuer.opaque.set(token, { ...right, sub: token });
        const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
        const answer = await fetch(`${edge.url}/messages?topic=t&callback=http%3A%2F%2Fc.example%2F`, { headers });
        assert.equal(answer.status, 200);
        const stream = { token, over: false, text: answer.text().then(() => void (stream.over = true)) };
        return stream;
      });
      const open = await Promise.all(streams);
      const asked = () => issuer.asked.introspect.filter(({ body }) => String(body).includes("token=good")).length;
      await eventually("questions", () => asked() >= 4);
      assert.ok(open.every(({ over }) => !over));
      const [begun, begunAt] = [asked(), Date.now()];
      issuer.opaque.delete("revoked");
      issuer.opaque.set("another", { ...right, preferred_username: "another" });
      issuer.opaque.set("rightless", { ...right, sub: "rightless", scope: "" });
      await eventually("three ends", () => open.slice(0, 3).every(({ over }) => over));
      await never("a fourth", () => open.slice(3).some(({ over }) => over), 300);
      const periods = (Date.now() - begunAt) / 75;
      assert.ok(asked() - begun <= 1.5 * periods + 2, "two streams of one token ask little more than one would");
      edge.endStreams();
      await Promise.all(open.map(({ text }) => text));
    } finally {
      await edge.close();
      await Promise.all([core.close(), issuer.close(), tokens.close()]);
    }
  });
});
