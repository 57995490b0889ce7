import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { type Caller, CALLER_HEADER, type ClientIdentity, CORE_PATHS } from "../../../shared/core-api.ts";
import { operationId } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { encodeForm } from "../../support/form.ts";
import { type Reply } from "../../support/servers/http.ts";
import { sealedFor } from "../../support/keys.ts";
import { onSharedCore, pair, stateOf, withCore } from "../../support/rigs/shared-core.ts";
import { resultOf, type TestCore } from "../../support/rigs/test-core.ts";

const ALICE: ClientIdentity = { issuer: "https://a", claim: "sub", userId: "alice" };
const NAMESAKE: ClientIdentity = { issuer: "https://b", claim: "sub", userId: "alice" };
/** A client of a record from before claims were recorded. */
const FORMER: ClientIdentity = { issuer: "https://a", userId: "alice" };
const SECRET = "shared";

let core: () => TestCore;
onSharedCore({ TIDINGS_AUTO_VERIFY: "on" }, (shared) => core = shared);

type Pair = ReturnType<typeof pair>;

async function subscribe({ topic, callback }: Pair, client?: ClientIdentity, secret?: string): Promise<void> {
  const id = operationId();
  const sealed = secret === undefined ? {} : { secret: await sealedFor(topic, callback, secret) };
  const more = { ...(client === undefined ? {} : { client }), ...sealed };
  await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback, leaseMs: 3_600_000, ...more });
  await core().operate(resultOf(id, "subscribe", topic, callback, true));
}

/** Everything that can be asked of a pair, by this caller. */
const QUESTIONS: Record<string, (asked: Pair, caller: Caller) => Promise<Reply>> = {
  status: (asked, caller) => get(CORE_PATHS.subscriptions, asked, caller),
  messages: (asked, caller) => get(CORE_PATHS.messages, asked, caller),
  events: (asked, caller) => get(CORE_PATHS.messages, asked, caller, { accept: "text/event-stream" }),
  "dead letters": (asked, caller) => get(CORE_PATHS.deadLetters, asked, caller),
  resume: (asked, caller) => move({ kind: "resume", ...asked, caller }),
  replay: (asked, caller) => move({ kind: "replay", ...asked, caller, key: operationId() }),
};
function get(path: string, asked: Pair, caller: Caller, headers: Record<string, string> = {}): Promise<Reply> {
  const who = { [CALLER_HEADER]: encodeURIComponent(JSON.stringify(caller)) };
  return core().call(`${path}?${encodeForm(asked)}`, { headers: { ...who, ...headers } });
}
function move(operation: object): Promise<Reply> {
  const body = JSON.stringify({ id: operationId(), madeAt: core().clock(), ...operation });
  return core().call(CORE_PATHS.subscriptions, { body, headers: { "content-type": "application/json" } });
}

describe("WIRE §6 who may ask about a subscription and move it", { timeout: 60_000 }, () => {
  const OTHERS: Record<string, Caller> = {
    "another client": { kind: "client", ...ALICE, userId: "bob" },
    "another client whose preferred_username is alice": { kind: "client", ...ALICE, userId: "bob", name: "alice" },
    "a client that another claim names alice": { kind: "client", ...ALICE, claim: "preferred_username" },
    "a client whose client_id is alice": { kind: "client", ...ALICE, claim: "client_id" },
    "an edge from before claims": { kind: "client", ...FORMER },
    "another issuer's client of the same name": { kind: "client", ...NAMESAKE },
    "one whose name only looks alike": { kind: "client", ...ALICE, userId: "Alice" },
    "one whose name is the same only after normalisation": { kind: "client", ...ALICE, userId: "alice\u200b" },
  };

  it("its client, and an operator", async () => {
    const mine = pair();
    await subscribe(mine, ALICE);
    for (const [what, ask] of Object.entries(QUESTIONS).filter(([name]) => name !== "events")) {
      assert.equal((await ask(mine, { kind: "client", ...ALICE })).status, 200, what);
      assert.equal((await ask(mine, { kind: "operator", issuer: "x", userId: "operator" })).status, 200, what);
    }
  });

  it("nobody else: others get the answer of an unknown pair", async () => {
    const [mine, anonymous, unknown] = [pair(), pair(), pair()];
    await subscribe(mine, ALICE);
    await subscribe(anonymous);
    const sentence = ({ text }: Reply, { topic, callback }: Pair) =>
      text.replace(topic, "TOPIC").replace(callback, "CALLBACK");
    for (const [what, ask] of Object.entries(QUESTIONS)) {
      for (const [who, caller] of Object.entries(OTHERS)) {
        const [theirs, nobodys, none] = [
          await ask(mine, caller),
          await ask(anonymous, caller),
          await ask(unknown, caller),
        ];
        assert.deepEqual([theirs.status, nobodys.status, none.status], [404, 404, 404], `${what} by ${who}`);
        assert.equal(sentence(theirs, mine), sentence(none, unknown));
        assert.equal(sentence(nobodys, anonymous), sentence(none, unknown));
      }
    }
  });

  it("no token of another client, also after the subscription has ended", async () => {
    const mine = pair();
    await subscribe(mine, ALICE);
    await core().unsubscribe(mine.topic, mine.callback);
    const [own, other] = [{ kind: "client", ...ALICE }, OTHERS["another client"]!] as const;
    await eventually("the end", async () => (await QUESTIONS["resume"]!(mine, own)).status === 410);
    assert.equal((await QUESTIONS["resume"]!(mine, other)).status, 404);
  });

  it("of a record from before claims were recorded: who had that name then, until its next renewal", async () => {
    const mine = pair();
    await subscribe(mine, FORMER);
    const keycloak: ClientIdentity = { ...ALICE, userId: "7f3e", name: "alice" };
    const status = async (client: ClientIdentity) =>
      (await QUESTIONS["status"]!(mine, { kind: "client", ...client })).status;
    const all = [keycloak, ALICE, { ...ALICE, claim: "client_id" }, FORMER, { ...ALICE, name: "bob" }, NAMESAKE];
    assert.deepEqual(await Promise.all(all.map(status)), [200, 200, 200, 200, 404, 404]);
    await subscribe(mine, keycloak);
    assert.deepEqual(await Promise.all(all.map(status)), [200, 404, 404, 404, 404, 404]);
    assert.equal(await status({ ...keycloak, name: "renamed" }), 200);
  });

  it("a signer with the secret, whoever made the subscription", async () => {
    const mine = pair();
    await subscribe(mine, ALICE, SECRET);
    const timestamp = String(Math.floor(core().clock() / 1_000));
    const bodySha256 = createHash("sha256").update("").digest("hex");
    const signed = (secret: string): Caller => {
      const text = `GET\n/subscriptions\n\n${timestamp}\n${bodySha256}`;
      const signature = `v1=${createHmac("sha256", secret).update(text).digest("base64")}`;
      return { kind: "signature", method: "GET", path: "/subscriptions", query: "", timestamp, signature, bodySha256 };
    };
    assert.equal((await QUESTIONS["status"]!(mine, signed(SECRET))).status, 200);
    assert.equal((await QUESTIONS["status"]!(mine, signed("wrong"))).status, 401);
  });

  it("the client of the newest verified renewal; an open stream of the client before it ends", async () => {
    const mine = pair();
    await subscribe(mine, ALICE);
    const events = QUESTIONS["events"]!(mine, { kind: "client", ...ALICE });
    await eventually("the stream", async () => {
      const text = await core().metrics();
      return /tidings_streams\{[^}]*\} 1\n|tidings_streams 1\n/.test(text);
    });
    await subscribe(mine, NAMESAKE);
    const { status, text } = await events;
    assert.deepEqual([status, text.startsWith("retry:")], [200, true]);
    assert.equal((await QUESTIONS["status"]!(mine, { kind: "client", ...ALICE })).status, 404);
    assert.equal((await QUESTIONS["status"]!(mine, { kind: "client", ...NAMESAKE })).status, 200);
  });
});

describe("WIRE §6 the owner of an idempotency key", { timeout: 60_000 }, () => {
  it("is the publisher: two clients may use the same key", async () => {
    const { topic } = pair();
    const send = async (body: string, client?: ClientIdentity) => {
      return await core().publish(topic, body, { key: "k", ...(client === undefined ? {} : { client }) });
    };
    const first = [await send("one"), await send("two", ALICE), await send("three", NAMESAKE)];
    assert.deepEqual(first.map(({ status }) => status), [200, 200, 200]);
    assert.equal(new Set(first.map(({ answer }) => answer.id)).size, 3);
    const again = [await send("one"), await send("two", ALICE), await send("three", NAMESAKE)];
    assert.deepEqual(again.map(({ answer }) => answer.id), first.map(({ answer }) => answer.id));
    assert.equal((await send("one", ALICE)).status, 422);
  });

  it("is the one who asks for a replay: an operator's key is not the client's", async () => {
    const mine = pair();
    await subscribe(mine, ALICE);
    const replay = async (caller: Caller, letter?: string) =>
      (await move({ kind: "replay", ...mine, caller, key: "k", ...(letter === undefined ? {} : { letter }) })).status;
    const [own, operator]: Caller[] = [{ kind: "client", ...ALICE }, { kind: "operator", issuer: "x", userId: "o" }];
    assert.equal(await replay(own!), 200);
    assert.equal(await replay(own!, "msg_other"), 422, "the same key for something else");
    assert.equal(await replay(operator!, "msg_other"), 404, "a key that this one has not used");
  });

  it("is a client: an operation that says something else is refused", async () => {
    for (const client of ["x", {}, { issuer: "a" }, { issuer: "", userId: "a" }, null]) {
      const { status } = await core().publish("t", "x", { client: client as unknown as ClientIdentity });
      assert.equal(status, 400, JSON.stringify(client));
    }
  });
});

describe("WIRE §2 a mark at the core", { timeout: 60_000 }, () => {
  const state = ({ topic, callback }: Pair) => stateOf(core(), topic, callback);
  const markedIntent = (asked: Pair, client: ClientIdentity, mode: "subscribe" | "unsubscribe" = "subscribe") =>
    core().operate({ kind: "intent", mode, ...asked, client, marked: true, leaseMs: 60_000 });

  it("is durable before the answer, is verified without a call, and the edge does not verify it", async () => {
    const mine = pair();
    const { answer } = await markedIntent(mine, ALICE);
    assert.ok(answer.kind === "intent" && !answer.verify);
    assert.equal(await state(mine), "active");
    assert.deepEqual(core().calls.filter(({ url }) => url.startsWith(mine.callback)), []);
    await markedIntent(mine, ALICE, "unsubscribe");
    assert.equal(await state(mine), "unsubscribed");
  });

  it("on another client's subscription is challenged by the core at once", async () => {
    const mine = pair();
    await markedIntent(mine, ALICE);
    await markedIntent(mine, NAMESAKE, "unsubscribe");
    const asked = await eventually(
      "the challenge",
      () => core().calls.find(({ url }) => url.startsWith(mine.callback)),
    );
    assert.equal(asked.method, "GET");
    assert.match(asked.url, /hub\.mode=unsubscribe/);
    assert.equal(await state(mine), "active");
  });

  it("does not count if this core's own AUTO_VERIFY is off", async () => {
    await withCore({}, async (off) => {
      const mine = pair();
      const { answer } = await off.operate({
        kind: "intent",
        mode: "subscribe",
        ...mine,
        client: ALICE,
        marked: true,
        leaseMs: 60_000,
      });
      assert.ok(answer.kind === "intent" && answer.verify, "the edge sends the challenge");
      assert.equal(await off.status(mine.topic, mine.callback), "not_found");
    });
  });
});
