// undici's transport keeps the contract of the delivery transport. The runtime's own collector is asked what it holds.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Exchange, ExchangeDeadlines } from "../../../../core/delivery/sending/undici-exchange.ts";
import type { Post } from "../../../../core/delivery/sending/transport.ts";
import { createUndiciTransport } from "../../../../core/delivery/sending/undici-transport.ts";
import { createOutboundGuard } from "../../../../shared/outbound/guard.ts";
import { nextTurn } from "../../../../shared/turn.ts";
import { createGuardedConnector } from "../../../../shared/runtime/guarded-connect.ts";
import { transportContract, type TransportSetting } from "../../../contract/transport.ts";
import { pause } from "../../../support/eventually.ts";
import { alive } from "../../../support/garbage.ts";
import { RawServer, sendPost } from "../../../support/rigs/transport-rig.ts";

const open: TransportSetting["open"] = ({ guard, timeoutMs, connectionsPerOrigin }) => {
  const connect = createGuardedConnector({ guard, connectTimeoutMs: timeoutMs });
  return createUndiciTransport({ connect, timeoutMs, connectionsPerOrigin });
};

transportContract("undici", { skip: false, open });

describe("undici: the memory of the delivery transport", () => {
  it("§6.7 does not hold what it sent", async () => {
    const server = new RawServer();
    await server.open();
    const transport = open({ guard: createOutboundGuard(["127.0.0.0/8"]), timeoutMs: 400, connectionsPerOrigin: 4 });
    const references: WeakRef<Buffer>[] = [];
    for (let times = 0; times < 8; times++) {
      const body = Buffer.alloc(100_000);
      references.push(new WeakRef(body));
      await sendPost(transport, server.url, { body });
    }
    await pause(20);
    const held = await alive(references);
    assert.ok(held <= 4, `${held} bodies are still held`);
    await transport.close();
    await server.close();
  });
});

describe("undici: exchanges that time out at once", () => {
  it("end in turns, and what else is due goes on in between", async () => {
    const deadlines = new ExchangeDeadlines(1, () => performance.now());
    const most = 40;
    // How many had ended each time that something else had its turn.
    const seen: number[] = [];
    let ended = 0;
    const post = {
      failed: () => {
        ended++;
        for (const begun = performance.now(); performance.now() - begun < 5;);
      },
    } as unknown as Post;
    for (let n = 0; n < most; n++) deadlines.begin(new Exchange(post, deadlines, undefined));
    while (ended < most) {
      await nextTurn();
      if (ended > (seen.at(-1) ?? 0)) seen.push(ended);
    }
    deadlines.close();
    assert.ok(seen.every((count, n) => count - (seen[n - 1] ?? 0) <= 5), seen.join());
  });
});

describe("undici: the pools of connections", () => {
  it("a requester who has any number of origins called closes its own connections, and nobody else's", async () => {
    const server = new RawServer();
    await server.open();
    const guard = createOutboundGuard(["127.0.0.0/8"]);
    const connect = createGuardedConnector({ guard, connectTimeoutMs: 400 });
    const transport = createUndiciTransport({ connect, timeoutMs: 400, connectionsPerOrigin: 4, mostPools: 8 });
    try {
      await sendPost(transport, server.url, { requester: "victim" });
      for (let port = 1; port <= 40; port++) {
        await sendPost(transport, `http://127.0.0.1:${port}/`, { requester: "attacker" });
      }
      await sendPost(transport, server.url, { requester: "victim" });
      assert.deepEqual([server.requests.length, server.connections], [2, 1]);
    } finally {
      await transport.close();
      await server.close();
    }
  });
});
