// 100 subscribers refuse connections while messages are published for them, and come back. Ten subscribers of another topic
// stay up. Measures how fast the backlog goes, the latency of those ten, and the core's memory.
import { clock } from "./clock.ts";
import { openSink, publish, type Sink } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";
import { saturate } from "./throughput.ts";
import { pause } from "../support/eventually.ts";

const [DOWN, LIVE] = [100, 10];
const DOWN_TOPIC = "https://bench.test/down";
const LIVE_TOPIC = "https://bench.test/live";
const LIVE_RATE = 50;
const LIVE_SECONDS = 10;
const HEALTHY_MESSAGES = 200;
const BACKLOG_DEADLINE_MS = 150_000;
const BACK_DEADLINE_MS = 30_000;

const SETTINGS = {
  TIDINGS_RETRY_MIN: "100ms",
  TIDINGS_RETRY_MAX: "1s",
  TIDINGS_PARK_AFTER: "5s",
  TIDINGS_PROBE_INTERVAL: "1s",
};

/** `messages` is how many the subscribers miss; the bench watches the backlog for at most `drainSeconds`. */
export function outage({ messages, drainSeconds }: { messages: number; drainSeconds: number }): Bench {
  return { name: "outage", settings: SETTINGS, run: (rig) => run(rig, messages, drainSeconds) };
}

async function run(rig: Rig, messages: number, drainSeconds: number): Promise<void> {
  const { hub } = rig;
  let sick = await openSink();
  try {
    await subscribeAll(hub, sick, DOWN_TOPIC, DOWN);
    await subscribeAll(hub, rig.sink, LIVE_TOPIC, LIVE);

    const [healthy] = await rig.repeated(async () => {
      const { delivered } = await saturate({ hub, sink: sick }, DOWN_TOPIC, HEALTHY_MESSAGES, DOWN);
      return [delivered];
    });
    const phases: [string, number[]][] = [];
    const phase = async (name: string, rate: number, live: number[]) => {
      const { peak } = await rig.memory("core");
      phases.push([name, [rate, ...live, peak]]);
      await rig.resetPeak("core");
    };
    await liveFigures(rig);
    await phase("before, only the ten have messages", Number.NaN, await liveFigures(rig));
    const half = Math.floor(healthy! / DOWN / 2);
    const busy = await meanwhile(rig, "at half load", trickle(rig, sick, half));
    await phase("before, all have, at half of what they can take", half * DOWN, busy);
    const full = await meanwhile(rig, "at full load", saturateFor(rig, sick, LIVE_SECONDS));
    await phase("before, all have, as fast as they take them", healthy!, full);

    const { port } = sick;
    await sick.close();
    const writing = publish(
      { hub: hub.url, topic: DOWN_TOPIC, messages, connections: PUBLISH_CONNECTIONS },
      BACKLOG_DEADLINE_MS,
    );
    const during = await meanwhile(rig, "100 down", writing);
    await phase(`100 down, ${messages.toLocaleString("en")} are published to them`, Number.NaN, during);

    sick = await openSink({ port });
    const drained = drain(sick, messages * DOWN, drainSeconds);
    // Probes come within PROBE_INTERVAL.
    await pause(2_000);
    const live = await meanwhile(rig, "100 back", drained);
    const { rate, count } = await drained;
    await phase("100 back", rate, live);

    table([
      `outage: ${LIVE} live subscribers at ${LIVE_RATE} messages/s, ${DOWN} others`,
      "deliveries/s to the 100",
      "live p50 ms",
      "live p99 ms",
      "core MB at most",
    ]);
    for (const [name, figures] of phases) row(name, ...figures);
    console.log(
      `\nDrained at ${(rate / healthy!).toFixed(2)} of the healthy rate; watched for ${count.toLocaleString("en")} of ${
        (messages * DOWN).toLocaleString("en")
      } deliveries.`,
    );
    console.log(`${Object.entries(SETTINGS).map(([name, value]) => `${name}=${value}`).join(", ")}.`);
  } finally {
    await sick.close();
  }
}

/** The latency of the live subscribers over ten seconds: p50 and p99, ms. */
async function liveFigures({ hub, sink }: Rig): Promise<number[]> {
  await sink.reset();
  const messages = LIVE_RATE * LIVE_SECONDS;
  await publish({ hub: hub.url, topic: LIVE_TOPIC, messages, rate: LIVE_RATE, connections: PUBLISH_CONNECTIONS });
  const { p50, p99 } = await sink.received(messages * LIVE);
  return [p50, p99];
}

/** Resolves when all of it has come: a later measurement would count the rest. */
async function trickle({ hub }: Rig, sick: Sink, rate: number): Promise<void> {
  const messages = rate * LIVE_SECONDS;
  await sick.reset();
  await publish({ hub: hub.url, topic: DOWN_TOPIC, messages, rate, connections: PUBLISH_CONNECTIONS });
  await sick.received(messages * DOWN);
}

async function saturateFor({ hub }: Rig, sick: Sink, seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) await saturate({ hub, sink: sick }, DOWN_TOPIC, HEALTHY_MESSAGES, DOWN);
}

/** The latency of the live subscribers while a load runs. */
async function meanwhile(rig: Rig, name: string, load: Promise<unknown>): Promise<number[]> {
  const [figures] = await Promise.all([rig.profiler.during(name, () => liveFigures(rig)), load]);
  return figures;
}

/** Deliveries a second from the first one until all have come or the time is over. */
async function drain(sick: Sink, total: number, seconds: number): Promise<{ rate: number; count: number }> {
  const opened = performance.now();
  while (await sick.count() === 0) {
    if (performance.now() - opened > BACK_DEADLINE_MS) throw new Error("Nothing came after the outage");
    await pause(10);
  }
  const [startedAt, before] = [clock(), await sick.count()];
  let count = before;
  while (count < total && clock() - startedAt < seconds * 1_000) {
    await pause(100);
    count = await sick.count();
  }
  const lastAt = count < total ? clock() : (await sick.stats()).lastAt;
  return { rate: (count - before) / ((lastAt - startedAt) / 1_000), count };
}
