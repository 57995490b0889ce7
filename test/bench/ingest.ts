// How fast the hub makes messages durable that have no subscriber.
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS } from "./rig.ts";
import { row, table } from "./table.ts";

const MESSAGES = 15_000;

export const ingest: Bench = {
  name: "ingest",
  async run({ hub, cpu, profiler, repeated }) {
    const figures = await repeated(async () => {
      const cpuBefore = await cpu();
      const { published, seconds, p50, p99 } = await profiler.during("ingest", () =>
        publish({
          hub: hub.url,
          topic: "https://bench.test/ingest",
          messages: MESSAGES,
          connections: PUBLISH_CONNECTIONS,
        }));
      const used = await cpu() - cpuBefore;
      return [published / seconds, p50, p99, used / published * 10_000];
    });
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
