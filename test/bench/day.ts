// Some minutes of a day with 3 million requests: 35 a second on average, with peaks of ten times as much, for 250 partners. One
// in twenty fails. Measures the latency of the healthy ones and the load on the machine.
import { availableParallelism } from "node:os";
import { pause } from "../support/eventually.ts";
import { quantile, stampedBody } from "./clock.ts";
import { runLoad } from "./load.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

const MEAN_RATE = 35;
const PEAK_RATE = 350;
const PEAK_SECONDS = 3;
/** Requests a second for the rest of a minute of 2,100 requests, after its peak. */
const QUIET_RATE = (MEAN_RATE * 60 - PEAK_RATE * PEAK_SECONDS) / (60 - PEAK_SECONDS);
const PARTNERS = 250;
const FAILING = [{ group: "hanging", from: 0 }, { group: "failing", from: 6 }] as const;
const FIRST_HEALTHY = 12;
/** One message in this many is for all partners; each of the others is for one. */
const FOR_ALL_EVERY = 250;
const BYTES = 1_024;
const SETTLE_MS = 5_000;
const topicOf = (partner: number) => `https://bench.test/day/partner-${partner}/EVENT`;
const FOR_ALL = "https://bench.test/day/EVENT";

/** Runs this many minutes of the day, each with its peak. */
export function day({ minutes }: { readonly minutes: number }): Bench {
  return { name: "day", run: (rig) => run(rig, minutes) };
}

async function run(rig: Rig, minutes: number): Promise<void> {
  const { hub, sink } = rig;
  for (let partner = 0; partner < PARTNERS; partner++) {
    const group = groupOf(partner);
    await subscribeAll(hub, sink, topicOf(partner), 1, group);
    await subscribeAll(hub, sink, FOR_ALL, 1, `${group}/${partner}`);
  }
  await sink.reset();
  for (const { group } of FAILING) await sink.behave(group, group);
  for (const tier of ["edge", "core"] as const) await rig.resetPeak(tier);

  const [cpuBefore, begun] = [await rig.cpu(), performance.now()];
  const latencies: number[] = [];
  let [published, failed] = [0, 0];
  let due = 0;
  for (let minute = 0; minute < minutes; minute++) {
    for (const [rate, seconds] of [[QUIET_RATE, 60 - PEAK_SECONDS], [PEAK_RATE, PEAK_SECONDS]] as const) {
      const load = await runLoad({
        origin: new URL(hub.url).origin,
        connections: PUBLISH_CONNECTIONS,
        count: Math.round(rate * seconds),
        rate,
        request: () => {
          const partner = due++ % PARTNERS;
          const topic = due % FOR_ALL_EVERY === 0 ? FOR_ALL : topicOf(partner);
          return {
            path: `/hub?hub.mode=publish&hub.topic=${encodeURIComponent(topic)}`,
            headers: ["content-type", "application/json"],
            body: stampedBody(BYTES),
          };
        },
      });
      published += load.answered2xx;
      failed += load.failed;
      latencies.push(...load.latencies);
    }
  }
  const [cpu, seconds] = [await rig.cpu() - cpuBefore, (performance.now() - begun) / 1_000];
  await pause(SETTLE_MS);
  const healthy = await sink.stats("healthy");
  const [edge, core] = [await rig.memory("edge"), await rig.memory("core")];
  latencies.sort((a, b) => a - b);

  table([
    `day: ${MEAN_RATE} requests/s on average, ${PEAK_RATE} for ${PEAK_SECONDS} s of each minute, ${minutes} min, ${PARTNERS} partners, ${FIRST_HEALTHY} of them failing`,
    "figure",
  ]);
  row("published", published);
  row("not accepted", failed);
  row("request to answer, p50 ms", quantile(latencies, 0.5));
  row("request to answer, p99 ms", quantile(latencies, 0.99));
  row("delivered to the healthy", healthy.count);
  row("publish to healthy partner, p50 ms", healthy.p50);
  row("publish to healthy partner, p99 ms", healthy.p99);
  row("publish to healthy partner, max ms", healthy.max);
  row("CPU of edge and core, % of one core", cpu / seconds * 100);
  row(
    `CPU of edge and core, % of the machine's ${availableParallelism()}`,
    cpu / seconds / availableParallelism() * 100,
  );
  row("memory of the edge, MB, at most", edge.peak);
  row("memory of the core, MB, at most", core.peak);
}

function groupOf(partner: number): string {
  if (partner >= FIRST_HEALTHY) return "healthy";
  return FAILING.findLast(({ from }) => partner >= from)!.group;
}
