// How fast the hub makes messages durable that have no subscriber.
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { row, table } from "./table.ts";

const MESSAGES = 15_000;

export const ingest: Bench = {
  name: "ingest",
  async run(rig) {
    const figures = await rig.repeated(() => ingested(rig, MESSAGES));
    table([
      `ingest: ${PUBLISH_CONNECTIONS} connections, no subscription`,
      "published/s",
      "p50 ms",
      "p99 ms",
      "CPU s / 10,000",
    ]);
    row(`${MESSAGES} messages`, ...figures);
  },
};

/** Publishes as fast as possible. Resolves to publishes a second, their p50 and p99 in ms, and CPU s per 10,000. */
export async function ingested(
  { hub: { url, token }, cpu, profiler }: Pick<Rig, "hub" | "cpu" | "profiler">,
  messages: number,
): Promise<[perSecond: number, p50: number, p99: number, cpu: number]> {
  const cpuBefore = await cpu();
  const topic = "https://bench.test/ingest";
  const { published, seconds, p50, p99 } = await profiler.during(
    "ingest",
    () => publish({ hub: url, token, topic, messages, connections: PUBLISH_CONNECTIONS }),
  );
  const used = await cpu() - cpuBefore;
  return [published / seconds, p50, p99, used / published * 10_000];
}
