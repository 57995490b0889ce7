// How long the subscriptions of a killed core wait for their next delivery (ARCHITECTURE §3: at most 15 s).
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, pause } from "../support/eventually.ts";
import { type Fleet, openFleet } from "../support/hub/fleet.ts";
import { clock, quantile, stampedBody } from "./clock.ts";
import { runLoad } from "./load.ts";
import type { Sink } from "./parts.ts";
import { type Bench, PRODUCTION_TIMES } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

/** Several subscriptions in each of the 16 shards. */
const SUBSCRIPTIONS = 128;
const RATE = 256;
const AGAIN_WITHIN_MS = 60_000;
/** Time between a core's return and the next kill, in which it gets its shards back. */
const BALANCE_MS = 3_000;
const topicOf = (n: number) => `https://bench.test/failover/${n}`;
const groupOf = (n: number) => `subscriber-${n}`;

export interface FailoverOptions {
  readonly cores: number;
  readonly kills: number;
}

export function failover({ cores, kills }: FailoverOptions): Bench {
  return {
    name: "failover",
    async run(rig) {
      if (rig.kind !== "kafka") throw new Error("The embedded log has one core: failover needs --kafka");
      const dataDir = await mkdtemp(join(tmpdir(), "tidings-failover-"));
      const fleet = await openFleet({
        cores,
        edges: 2,
        runtimes: rig.runtimes,
        dataDir,
        settings: {
          ...PRODUCTION_TIMES,
          TIDINGS_KAFKA_BROKERS: rig.brokers.join(),
          TIDINGS_KAFKA_PREFIX: `failover-${randomUUID().slice(0, 8)}`,
        },
      });
      try {
        report(cores, await measure(fleet, rig.sink, kills));
      } finally {
        await fleet.close();
        await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
      }
    },
  };
}

/** For each kill, how long each subscription waited, ms, sorted. */
async function measure(fleet: Fleet, sink: Sink, kills: number): Promise<number[][]> {
  const [hub] = fleet.hubs;
  for (let n = 0; n < SUBSCRIPTIONS; n++) await subscribeAll(hub!, sink, topicOf(n), 1, groupOf(n));
  let running = true;
  const publishing = publishAlong(hub!.url, () => running);
  publishing.catch(() => {});
  const waits: number[][] = [];
  try {
    for (let kill = 0; kill < kills; kill++) {
      await sink.reset();
      await everyoneServed(sink);
      const core = fleet.cores[kill % fleet.cores.length]!;
      await core.kill();
      await sink.reset();
      const killedAt = clock();
      const firsts = await everyoneServed(sink);
      waits.push(firsts.map((at) => at - killedAt).sort((a, b) => a - b));
      await core.start();
      await pause(BALANCE_MS);
    }
  } finally {
    running = false;
    await publishing;
  }
  return waits;
}

/** When each subscription got its first message after the reset, by clock.ts. */
async function everyoneServed(sink: Sink): Promise<number[]> {
  let firsts: number[] = [];
  await eventually("a delivery to every subscription", async () => {
    const all = await sink.firsts();
    firsts = Array.from({ length: SUBSCRIPTIONS }, (_, n) => all[groupOf(n)] ?? 0);
    return firsts.every((at) => at > 0);
  }, { deadlineMs: AGAIN_WITHIN_MS, everyMs: 50, seen: () => `${firsts.filter((at) => at > 0).length} served` });
  return firsts;
}

/** Publishes to each topic in turn. The bench does not measure what is refused meanwhile. */
async function publishAlong(hub: string, running: () => boolean): Promise<void> {
  let n = 0;
  while (running()) {
    await runLoad({
      origin: new URL(hub).origin,
      connections: SUBSCRIPTIONS,
      count: RATE,
      rate: RATE,
      request: () => ({
        path: `/hub?hub.mode=publish&hub.topic=${encodeURIComponent(topicOf(n++ % SUBSCRIPTIONS))}`,
        headers: ["content-type", "application/json"],
        body: stampedBody(256),
      }),
    });
  }
}

function report(cores: number, waits: readonly number[][]): void {
  const longest = waits.map((ofOne) => ofOne.at(-1)!).sort((a, b) => a - b);
  // Subscriptions of the other cores did not wait.
  const hit = waits.flatMap((ofOne) => ofOne.slice(-Math.floor(SUBSCRIPTIONS / cores))).sort((a, b) => a - b);
  table([`failover: one of ${cores} cores killed, ${waits.length} times; SIGKILL to "deliver again"`, "s"]);
  row("all subscriptions, p50 of the kills", quantile(longest, 0.5) / 1_000);
  row("all subscriptions, max of the kills", longest.at(-1)! / 1_000);
  row("a subscription of the dead core, p50", quantile(hit, 0.5) / 1_000);
}
