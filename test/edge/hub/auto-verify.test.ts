import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Client } from "../../../edge/auth/client.ts";
import { AutoVerifyError, createAutoVerify, isMarked, type OnIntent } from "../../../edge/hub/auto-verify.ts";
import type { VerifiableRequest } from "../../../edge/hub/auto-verify.ts";
import { openAccess } from "../../../edge/auth/access.ts";
import { openCallbackServer } from "../../support/servers/callback-server.ts";
import type { CallbackServer } from "../../support/servers/callback-server.ts";
import { openEdge } from "../../support/rigs/edge.ts";
import { type FakeCore, openFakeCore } from "../../support/rigs/fake-core.ts";
import { encodeForm } from "../../support/form.ts";
import { call } from "../../support/servers/http.ts";

function client(words: { roles?: string[]; scopes?: string[]; userId?: string; issuer?: string } = {}): Client {
  const { roles = [], scopes = [], userId = "partner", issuer = "https://a" } = words;
  return { issuer, claim: "sub", userId, roles: new Set(roles), scopes: new Set(scopes), expiresAt: Infinity };
}
const request = (more: Partial<VerifiableRequest> = {}): VerifiableRequest => ({
  mode: "subscribe",
  topic: "t",
  callback: "https://partner.example/callback?x",
  client: client(),
  ...more,
});
const marking: OnIntent = (asked, controller) => controller.markAsVerified(asked);

describe("WIRE §2 marking a request as verified", () => {
  it("needs both the mark and the switch", async () => {
    assert.equal(await isMarked(request(), marking, true), true);
    assert.equal(await isMarked(request(), () => {}, true), false);
    assert.equal(await isMarked(request(), undefined, true), false);
    assert.equal(await isMarked(request(), marking, false), false);
  });

  it("is an error for the hook while the switch is off", async () => {
    let caught: unknown;
    const hook: OnIntent = (asked, controller) => {
      try {
        controller.markAsVerified(asked);
      } catch (error) {
        caught = error;
      }
    };
    assert.equal(await isMarked(request(), hook, false), false);
    assert.ok(caught instanceof AutoVerifyError);
    assert.match(caught.message, /TIDINGS_AUTO_VERIFY is off/);
  });

  it("counts for this very request only, and in time", async () => {
    const other = request();
    assert.equal(await isMarked(request(), (_, controller) => controller.markAsVerified(other), true), false);
    assert.equal(
      await isMarked(request(), (asked, controller) => controller.markAsVerified({ ...asked }), true),
      false,
    );
    let late = () => {};
    assert.equal(
      await isMarked(request(), (asked, controller) => void (late = () => controller.markAsVerified(asked)), true),
      false,
    );
    assert.throws(late, AutoVerifyError);
  });

  it("counts for nothing if the policy then fails", async () => {
    const failing: OnIntent = async (asked, controller) => {
      controller.markAsVerified(asked);
      await Promise.reject(new Error("the policy's database is away"));
    };
    assert.equal(await isMarked(request(), failing, true), false);
    assert.equal(await isMarked(request(), async (asked, c) => await marking(asked, c), true), true);
  });
});

describe("WIRE §2 the policy that comes with the hub", () => {
  const origins = [{ issuer: "https://a", userId: "partner", origin: "https://partner.example:443" }];
  const TABLE: readonly [what: string, asked: VerifiableRequest, marks: boolean][] = [
    ["the scope", request({ client: client({ scopes: ["websub:auto-verify"], userId: "x" }) }), true],
    ["the role", request({ client: client({ roles: ["websub:auto-verify"], userId: "x" }) }), true],
    ["on unsubscribe too", request({ mode: "unsubscribe", client: client({ roles: ["websub:auto-verify"] }) }), true],
    ["the operator's role alone", request({ client: client({ roles: ["websub:operate"], userId: "x" }) }), false],
    ["a callback at the client's own origin", request(), true],
    ["the same, with its port", request({ callback: "https://PARTNER.example:443" }), true],
    ["at another port", request({ callback: "https://partner.example:8443/" }), false],
    ["without TLS", request({ callback: "http://partner.example/" }), false],
    ["at a host that begins alike", request({ callback: "https://partner.example.evil/" }), false],
    ["of another client", request({ client: client({ userId: "other" }) }), false],
    ["of the same name at another issuer", request({ client: client({ issuer: "https://b" }) }), false],
    ["of nobody", request({ client: undefined }), false],
    ["whose preferred_username it is", request({ client: { ...client({ userId: "7f3e" }), name: "partner" } }), true],
    ["whose sub it is, while its name is another", request({ client: { ...client({}), name: "other" } }), false],
  ];
  for (const [what, asked, marks] of TABLE) {
    it(`${what}: ${marks ? "marked" : "challenged"}`, async () => {
      assert.equal(await isMarked(asked, createAutoVerify(origins), true), marks);
    });
  }

  it("marks by one claim only, where the setting names it", async () => {
    const own = client({});
    const clients: Client[] = [
      own,
      { ...own, userId: "7f3e", name: "partner" },
      { ...own, claim: "preferred_username", name: "partner" },
      { ...own, claim: "client_id" },
    ];
    const marks = async (claim: Client["claim"]) => {
      const policy = createAutoVerify(origins.map((origin) => ({ ...origin, claim })));
      return await Promise.all(clients.map((asking) => isMarked(request({ client: asking }), policy, true)));
    };
    assert.deepEqual(await marks("sub"), [true, false, false, false]);
    assert.deepEqual(await marks("preferred_username"), [false, true, true, false]);
    assert.deepEqual(await marks("client_id"), [false, false, false, true]);
  });
});

describe("WIRE §2 an edge with hooks", () => {
  let core: FakeCore;
  let callbacks: CallbackServer;
  before(async () => {
    [core, callbacks] = await Promise.all([openFakeCore(), openCallbackServer()]);
  });
  after(() => Promise.all([core.close(), callbacks.close()]));

  /** Sends one intent to an edge with this hook; yields the operation that the core got. */
  async function intend(mode: "subscribe" | "unsubscribe", callback: string, autoVerify: boolean, hook: OnIntent) {
    const hooks = { onSubscription: hook, onUnsubscription: hook };
    const edge = await openEdge([core.origin], { access: openAccess, autoVerify, ...hooks });
    try {
      const body = encodeForm({ "hub.mode": mode, "hub.topic": "t", "hub.callback": callback, "hub.secret": "s" });
      const { status } = await call(`${edge.url}/hub`, {
        body,
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
      assert.equal(status, 202, "whatever the hook does");
      return core.operations.findLast((operation) => operation.kind === "intent")!;
    } finally {
      await edge.close();
    }
  }

  it("hands the mark on, and sends no challenge where the core says that it is not the edge's to send", async () => {
    const callback = callbacks.callback();
    core.onOperation = ({ kind }) =>
      kind === "intent" ? { status: 200, body: { kind, offset: 1, verify: false } } : null;
    for (const mode of ["subscribe", "unsubscribe"] as const) {
      assert.equal((await intend(mode, callback.url, true, marking)).marked, true);
    }
    core.onOperation = () => null;
    assert.equal(callback.requests.length, 0);
  });

  it("sends the challenge if the switch is off, the hook fails, or says nothing", async () => {
    const throwing: OnIntent = () => Promise.reject(new Error("no"));
    for (const [on, hook] of [[false, marking], [true, throwing], [true, () => {}]] as const) {
      const callback = callbacks.callback();
      const operation = await intend("subscribe", callback.url, on, hook);
      assert.equal("marked" in operation, false);
      await callback.challenged();
    }
  });

  it("shows a hook all but the secret, and nothing that it could change", async () => {
    let seen: VerifiableRequest | undefined;
    await intend("subscribe", callbacks.callback().url, true, (asked) => void (seen = asked));
    assert.deepEqual(Object.keys(seen!).toSorted(), ["callback", "client", "leaseMs", "mode", "topic"]);
    assert.ok(Object.isFrozen(seen));
  });
});
