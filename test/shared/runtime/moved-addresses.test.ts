// A host that moves while requests never stop: its pool is replaced, and nothing in flight is lost.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { createGuardedConnector } from "../../../shared/runtime/guarded-connect.ts";
import { type Found, NameError } from "../../../shared/runtime/names/resolver.ts";
import { createUndiciTransport } from "../../../core/delivery/sending/undici-transport.ts";
import { eventually, never, pause } from "../../support/eventually.ts";
import { sendPost } from "../../support/rigs/transport-rig.ts";
import { openRecordingServer } from "../../support/servers/recording-server.ts";

const GUARD = createOutboundGuard(["127.0.0.0/8", "::1/128"]);
const UNANSWERED = new NameError("moving.example", "EAI_AGAIN", "could not be looked up");
const GONE = new NameError("moving.example", "ENOTFOUND", "has no address");

/** Two hosts with one port, a name for them, and requests to it that never stop. */
async function stand() {
  const old = await openRecordingServer();
  const other = await openRecordingServer(old.port, "127.0.0.2");
  const held: { end(): void }[] = [];
  const reached: string[] = [];
  for (const [name, server] of [["old", old], ["other", other]] as const) {
    server.route("/", (_request, response) => {
      reached.push(name);
      response.end();
    });
    server.route("/held", (_request, response) => void held.push(response));
  }
  const own = { known: { addresses: ["127.0.0.1"] } as Found | NameError };
  const askedFor = new Set<string | undefined>();
  const lookUp = (_name: string, requester?: string) => {
    askedFor.add(requester);
    return own.known instanceof NameError ? Promise.reject(own.known) : Promise.resolve(own.known);
  };
  const connect = createGuardedConnector({ guard: GUARD, names: { lookUp }, followMs: 50 });
  const transport = createUndiciTransport({ connect, timeoutMs: 5_000, connectionsPerOrigin: 2 });
  const post = (path: string) =>
    sendPost(transport, `http://moving.example:${old.port}${path}`, { requester: "address one" });
  const failures: unknown[] = [];
  let isOver = false;
  const busy = (async () => {
    while (!isOver) {
      const result = await post("/");
      if (!("status" in result)) failures.push(result);
      await pause(1);
    }
  })();
  return {
    own,
    held,
    post,
    failures,
    askedFor,
    latest: () => reached.at(-1),
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await busy;
      await transport.close();
      await Promise.all([old.close(), other.close()]);
    },
  };
}

describe("a host that moves", () => {
  it("is followed while its connections are busy; what is in flight ends where it began", async () => {
    await using moving = await stand();
    const inFlight = moving.post("/held");
    await eventually("a request that is held, and others", () => moving.held.length === 1 && moving.latest() === "old");
    await never("leaves by itself", () => moving.latest() !== "old", 150);
    moving.own.known = { addresses: ["127.0.0.2"] };
    await eventually("requests at the new address", () => moving.latest() === "other");
    await never("comes back", () => moving.latest() !== "other", 150);
    assert.deepEqual([...moving.askedFor], ["address one"], "each look-up counts as who has it called");
    for (const response of moving.held) response.end();
    assert.ok("status" in await inFlight);
    assert.deepEqual(moving.failures, []);
  });

  it("keeps its connections while nobody can say where it is", async () => {
    await using moving = await stand();
    await eventually("requests", () => moving.latest() === "old");
    for (const known of [UNANSWERED, { addresses: ["2001:db8::1"], unknown: 4 } as const]) {
      moving.own.known = known;
      await never("is left", () => moving.failures.length > 0 || moving.latest() !== "old", 200);
    }
  });

  it("keeps none when its name has no address any more, or one that is forbidden", async () => {
    for (const known of [GONE, { addresses: ["10.0.0.1"] }]) {
      await using moving = await stand();
      await eventually("requests", () => moving.latest() === "old");
      moving.own.known = known;
      await eventually("no address to call", () => moving.failures.length > 0);
      assert.match(JSON.stringify(moving.failures[0]), /no address to call/);
    }
  });
});
