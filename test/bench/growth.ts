// Whether a growing log makes the hub slower: measures hubs with 0, 10⁴, 10⁵ and 10⁶ messages in their logs, in turn. The core's
// own adapter fills the logs before the hubs start, with times of an hour ago.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MESSAGE_HEADERS } from "../../core/messages/message.ts";
import { topicIdOf } from "../../core/state/ids.ts";
import { openLibsqlLog } from "../../core/log/libsql/libsql-log.ts";
import { median, stampedBody } from "./clock.ts";
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";
import { saturate } from "./throughput.ts";

const SIZES = [10_000, 100_000, 1_000_000];
/** One in ten belongs to the measured topic. */
const FILLING_TOPICS = 9;
const FILLING_BYTES = 256;
const AT_ONCE = 2_000;
const TOPIC = "https://bench.test/growth";
const INGEST_MESSAGES = 5_000;
const [MESSAGES, SUBSCRIPTIONS] = [200, 100];

export const growth: Bench = {
  name: "growth",
  async run(rig, open) {
    if (rig.kind !== "libsql") throw new Error("growth fills the embedded log: run it without --kafka");
    const directories: string[] = [];
    const rigs: { name: string; rig: Rig; figures: number[][] }[] = [{ name: "nothing", rig, figures: [] }];
    try {
      for (const size of SIZES) {
        const dataDir = await mkdtemp(join(tmpdir(), "tidings-growth-"));
        directories.push(dataDir);
        await fill(dataDir, size);
        rigs.push({ name: `${size.toLocaleString("en")} messages`, rig: await open({ dataDir }), figures: [] });
      }
      for (const { rig } of rigs) await subscribeAll(rig.hub, rig.sink, TOPIC, SUBSCRIPTIONS);
      for (const { rig } of rigs) await measured(rig);
      // In turn, so that other work of the machine affects all alike.
      for (let n = 0; n < rig.runs; n++) {
        for (const { rig, figures } of rigs) figures.push(await measured(rig));
      }
      report(rigs);
    } finally {
      for (const { rig: opened } of rigs) if (opened !== rig) await opened[Symbol.asyncDispose]();
      for (const directory of directories) await rm(directory, { recursive: true, force: true });
    }
  },
};

function report(rigs: readonly { readonly name: string; readonly figures: readonly number[][] }[]): void {
  table([
    `growth: in the log before`,
    `published/s (${INGEST_MESSAGES}, no subscription)`,
    "CPU s / 10,000",
    `delivered/s (${MESSAGES} × ${SUBSCRIPTIONS})`,
    "CPU s / 10,000",
    "p99 ms",
  ]);
  for (const { name, figures } of rigs) row(name, ...medians(figures));
  const [, small] = rigs;
  const large = rigs.at(-1)!;
  row(
    "last ÷ 10,000, median of each turn's",
    ...medians(large.figures.map((turn, n) => turn.map((figure, column) => figure / small!.figures[n]![column]!))),
  );
  console.log(`\nFilled with ${FILLING_BYTES} bytes a message, a tenth of them of the topic that is measured.`);
}

function medians(turns: readonly number[][]): number[] {
  return turns[0]!.map((_, column) => median(turns.map((figures) => figures[column]!)));
}

async function fill(directory: string, messages: number): Promise<void> {
  const hourAgo = Date.now() - 3_600_000;
  const log = await openLibsqlLog({
    directory,
    retentionMs: 7 * 86_400_000,
    maxMessageBytes: 1_000_000,
    clock: () => hourAgo,
    onFatal: (error) => {
      throw error;
    },
  });
  for (let n = 0; n < messages; n += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, messages - n) }, (_, index) => {
      const topic = index % 10 === 0 ? TOPIC : `https://bench.test/filling/${index % FILLING_TOPICS}`;
      return log.append("messages", {
        key: topicIdOf(topic),
        value: Buffer.from(stampedBody(FILLING_BYTES)),
        headers: {
          [MESSAGE_HEADERS.id]: randomUUID(),
          [MESSAGE_HEADERS.contentType]: "application/json",
          [MESSAGE_HEADERS.topic]: topic,
        },
      });
    }));
  }
  await log.close();
}

async function measured({ hub, sink, cpu, profiler }: Rig): Promise<number[]> {
  const start = await cpu();
  const { published, seconds } = await profiler.during("publishing", () =>
    publish({
      hub: hub.url,
      topic: "https://bench.test/ingest",
      messages: INGEST_MESSAGES,
      connections: PUBLISH_CONNECTIONS,
    }));
  const between = await cpu();
  const { delivered, p99 } = await profiler.during(
    "delivering",
    () => saturate({ hub, sink }, TOPIC, MESSAGES, SUBSCRIPTIONS),
  );
  const end = await cpu();
  const per = (used: number, of: number) => used / of * 10_000;
  return [
    published / seconds,
    per(between - start, INGEST_MESSAGES),
    delivered,
    per(end - between, MESSAGES * SUBSCRIPTIONS),
    p99,
  ];
}
