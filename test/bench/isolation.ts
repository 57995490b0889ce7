// How sick callbacks slow healthy ones: 200 subscriptions of one topic are all healthy, or 10 % never answer and 5 % answer 500,
// in turn. Attempts time out and repeat far more often than by default, which harms the healthy ones most.
import { median } from "./clock.ts";
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { caughtUp, subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";
import { saturate } from "./throughput.ts";

const TOPIC = "https://bench.test/isolation";
const HEALTHY = 170;
const SICK = [{ group: "hanging", count: 20 }, { group: "failing", count: 10 }] as const;
const ALL = 200;
const MESSAGES = 100;
const STEADY_SECONDS = 5;

const SETTINGS = {
  TIDINGS_DELIVERY_TIMEOUT: "2s",
  TIDINGS_RETRY_MIN: "100ms",
  TIDINGS_RETRY_MAX: "1s",
};

export const isolation: Bench = { name: "isolation", settings: SETTINGS, run };

async function run(rig: Rig): Promise<void> {
  const { hub, sink } = rig;
  await subscribeAll(hub, sink, TOPIC, HEALTHY);
  const sick: string[] = [];
  for (const { group, count } of SICK) sick.push(...await subscribeAll(hub, sink, TOPIC, count, group));
  const turnSick = async () => {
    for (const { group } of SICK) await sink.behave(group, group);
  };
  const recover = async () => {
    for (const { group } of SICK) await sink.behave(group, "well");
    await caughtUp(hub, TOPIC, sick);
  };

  await saturated(rig, ALL);
  const [most] = await saturated(rig, ALL);
  // All 200 together get half of what the machine can do.
  const rate = Math.max(1, Math.floor(most! / ALL / 2));
  const turns: { well: number[]; sick: number[] }[] = [];
  for (let n = 0; n < rig.runs; n++) {
    // In turn, so that other work of the machine affects both alike.
    await saturated(rig, ALL);
    const well = [...await saturated(rig, ALL), ...await steady(rig, rate)];
    await turnSick();
    await saturated(rig, HEALTHY, "healthy");
    turns.push({ well, sick: [...await saturated(rig, HEALTHY, "healthy"), ...await steady(rig, rate)] });
    await recover();
  }

  table([
    `isolation: ${ALL} subscriptions, ${MESSAGES} messages at once, then ${rate} messages/s for ${STEADY_SECONDS} s`,
    "healthy deliveries/s",
    "CPU s / 10,000",
    "p50 ms at once",
    "p99 ms at once",
    `p50 ms at ${rate}/s`,
    `p99 ms at ${rate}/s`,
  ]);
  const medians = (of: (turn: typeof turns[number], column: number) => number) =>
    turns[0]!.well.map((_, column) => median(turns.map((turn) => of(turn, column))));
  row("all healthy", ...medians(({ well }, column) => well[column]!));
  row("20 never answer, 10 answer 500", ...medians(({ sick }, column) => sick[column]!));
  row("ratio, median of those of each turn", ...medians(({ well, sick }, column) => sick[column]! / well[column]!));
  console.log(`\n${Object.entries(SETTINGS).map(([name, value]) => `${name}=${value}`).join(", ")}.`);
}

async function saturated(rig: Rig, subscriptions: number, group?: string): Promise<number[]> {
  const cpuBefore = await rig.cpu();
  const { delivered } = await rig.profiler.during(
    `${subscriptions} healthy, at once`,
    () => saturate(rig, TOPIC, MESSAGES, subscriptions, group),
  );
  const used = await rig.cpu() - cpuBefore;
  const { p50, p99 } = await rig.sink.stats("healthy");
  return [delivered, used / (MESSAGES * subscriptions) * 10_000, p50, p99];
}

async function steady({ hub, sink }: Rig, rate: number): Promise<number[]> {
  await sink.reset();
  const messages = rate * STEADY_SECONDS;
  await publish({ hub: hub.url, topic: TOPIC, messages, rate, connections: PUBLISH_CONNECTIONS });
  const { p50, p99 } = await sink.received(messages * HEALTHY, "healthy");
  return [p50, p99];
}
