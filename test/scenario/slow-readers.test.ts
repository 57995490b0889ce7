// Subscribers that ask for missed messages and do not read the answer: the hub drops them, memory stays bounded, and no other
// subscriber notices (ARCHITECTURE §6.7).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { answer } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { published, subscribed } from "../support/hub/hub-client.ts";
import { call } from "../support/servers/http.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import type { Tier } from "../support/hub/tier-process.ts";
import { missedOf, openEvents } from "../support/hub/missed-client.ts";

const MEGABYTE = 1_000_000;
const BACKLOG = 40;
const SUBSCRIPTIONS = 8;
/** As many streams as one subscription may have, and as many pages at the same time. */
const READERS = 8;
/** Without a bound each of the 128 readers would hold 40 MB. */
const MEMORY_BOUND = 700 * MEGABYTE;
/** The hub gives a reader up after 30 s. */
const DROPPED_WITHIN_MS = 60_000;

async function memoryOf(hub: OwnHub, tier: Tier): Promise<number> {
  const status = await readFile(`/proc/${hub.pid(tier)}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
}

async function streamsOf(hub: OwnHub): Promise<number> {
  const { text } = await call(`${hub.operatingUrl("core")}/metrics`);
  return Number(/^tidings_streams\S* (\d+)$/m.exec(text)?.[1] ?? NaN);
}

describe(
  "readers that never read",
  { skip: process.platform === "linux" ? false : "memory is read from /proc" },
  () => {
    it("are dropped, and memory stays bounded meanwhile", { timeout: 180_000 }, async () => {
      const hub = await openOwnHub();
      const callbacks = await openCallbackServer();
      const sockets: Socket[] = [];
      try {
        const topic = "slow";
        const down = Array.from({ length: SUBSCRIPTIONS }, () => callbacks.callback());
        for (const callback of down) {
          callback.onDelivery = answer(503);
          await subscribed(hub, topic, callback);
        }
        for (let n = 0; n < BACKLOG; n++) await published(hub, topic, `${n} ${"x".repeat(MEGABYTE - 10)}`);

        const ask = (accept: string) => {
          for (const { url } of down) {
            const target = `/messages?${encodeForm({ topic, callback: url, limit: "1000" })}`;
            for (let n = 0; n < READERS; n++) {
              // Strangers: what they hold is of their own share.
              const socket = connect({
                port: Number(new URL(hub.base).port),
                host: "127.0.0.1",
                localAddress: "127.0.0.2",
              });
              socket.on("error", () => {}).pause();
              socket.write(`GET ${target} HTTP/1.1\r\nHost: h\r\nAccept: ${accept}\r\n\r\n`);
              sockets.push(socket);
            }
          }
        };
        // The pages keep the core busy for so long that it may refuse streams among them as too late.
        ask("text/event-stream");
        await eventually("the streams", async () => await streamsOf(hub) > SUBSCRIPTIONS * READERS / 2, {
          deadlineMs: 60_000,
        });
        ask("application/json");
        // The core is slow until it has read the pages; only after that it holds memory for readers that read nothing.
        await eventually("the pages to be read", async () => {
          const begun = performance.now();
          return await streamsOf(hub).catch(() => 0) > 0 && performance.now() - begun < 1_000;
        }, { deadlineMs: 60_000, everyMs: 200 });

        // Of what is read for so many readers at once, the collectors of Deno and Bun leave up to 600 MB lying for a while. What is held for the
        // readers stays as long as they do.
        const held = { core: Infinity, edge: Infinity };
        const healthy = callbacks.callback();
        await subscribed(hub, "healthy", healthy);
        using events = await openEvents(hub, "healthy", healthy.url);
        let count = 0;
        const all = await streamsOf(hub);
        await eventually("the end of all streams but the one that is read", async () => {
          for (const tier of ["core", "edge"] as const) {
            const memory = await memoryOf(hub, tier);
            if (await streamsOf(hub) === all) held[tier] = Math.min(held[tier], memory);
          }
          const begun = performance.now();
          await published(hub, "healthy", `message ${count++}`);
          await healthy.delivered(count);
          await events.received(count);
          const elapsed = performance.now() - begun;
          assert.ok(elapsed < 5_000, `a healthy subscriber waited ${elapsed} ms`);
          await pause(200);
          return await streamsOf(hub) === 1;
        }, { deadlineMs: DROPPED_WITHIN_MS });
        assert.ok(held.core < MEMORY_BOUND && held.edge < MEMORY_BOUND, JSON.stringify(held));
        // A subscriber that reads gets everything.
        const page = await missedOf(hub, topic, down[0]!.url, { limit: "5" });
        assert.equal(page.messages.length, 5);
        assert.doesNotMatch(hub.output(), /"level":"(?:ERROR|FATAL)"|Error:/);
      } finally {
        for (const socket of sockets) socket.destroy();
        await callbacks.close();
        await hub.close();
      }
    });
  },
);
