// Whether the hub reads one topic's missed messages without those of others (A4.2). GET /messages is timed per returned message,
// for a topic with 1 in 10,000 messages of its partition and for one that has its partition alone. The core's own adapter fills
// the logs before the hub starts.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeEvent } from "../../core/state/events.ts";
import { MESSAGE_HEADERS } from "../../core/messages/message.ts";
import { topicIdOf } from "../../core/state/ids.ts";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import { openLibsqlLog } from "../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../core/log/log.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { stampedBody } from "./clock.ts";
import type { Bench, Rig } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

/** The sparse topic has one in this many messages of its partition. */
const ONE_IN = 10_000;
const MESSAGES = 40;
const BYTES = 256;
const AT_ONCE = 2_000;
const [SPARSE, DENSE] = ["https://bench.test/sparse", "https://bench.test/dense"];

export const sparse: Bench = {
  name: "sparse",
  async run(rig, open) {
    const directory = await mkdtemp(join(tmpdir(), "tidings-sparse-"));
    try {
      if (rig.kind === "kafka") {
        // Appends beside the hub, as another core does.
        await using log = await kafkaLog(rig);
        await measure(rig, await fill(log));
      } else {
        const topic = await embeddedLog(directory).then(async (log) => {
          await using filled = log;
          return await fill(filled);
        });
        await using filled = await open({ dataDir: directory });
        await measure(filled, topic);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function measure(rig: Rig, topic: string): Promise<void> {
  // A failing callback does not catch up while it reads.
  await rig.sink.behave("away", "failing");
  const figures = new Map<string, number[]>();
  for (const name of [DENSE, topic]) {
    const [callback] = await subscribeAll(rig.hub, rig.sink, name, 1, "away", "earliest");
    figures.set(name, await rig.repeated(() => page(rig, name, callback!, MESSAGES)));
    if (name === DENSE) figures.set("large", await rig.repeated(() => page(rig, name, callback!, 1_000)));
  }
  const [dense, large, rare] = [DENSE, "large", topic].map((name) => figures.get(name)![0]!) as [
    number,
    number,
    number,
  ];
  table([
    `GET /messages: ${(MESSAGES * ONE_IN).toLocaleString("en")} messages in the partition`,
    "ms a page",
    "ms a message",
  ]);
  row(`every message, a page of ${MESSAGES}`, dense, dense / MESSAGES);
  row("every message, a page of 1,000", large, large / 1_000);
  row(`1 in ${ONE_IN.toLocaleString("en")}, a page of ${MESSAGES}`, rare, rare / MESSAGES);
  row(`sparse ÷ dense, pages of ${MESSAGES}`, rare / dense, rare / dense);
}

/** Reads one page from the beginning; yields the time it took, ms. */
async function page({ hub }: Rig, topic: string, callback: string, limit: number): Promise<number[]> {
  const query = encodeForm({ topic, callback, since: "2020-01-01T00:00:00Z", limit: String(limit) });
  const begun = performance.now();
  const reply = await call(`${hub.base}/messages?${query}`);
  const took = performance.now() - begun;
  const found = reply.status === 200 ? (JSON.parse(reply.text) as { messages: unknown[] }).messages.length : 0;
  if (found !== limit) throw new Error(`${found} of ${limit} messages: ${reply.status} ${reply.text.slice(0, 200)}`);
  return [took];
}

/** Fills a partition with messages of both topics; resolves to the sparse one. */
async function fill(log: Log): Promise<string> {
  const partition = log.partitionOf("messages", topicIdOf(DENSE));
  let sparse = SPARSE;
  for (let n = 0; log.partitionOf("messages", topicIdOf(sparse)) !== partition; n++) sparse = `${SPARSE}/${n}`;
  for (const topic of [DENSE, sparse]) {
    // A subscription begins no earlier than its topic.
    const event = { type: "register", id: randomUUID(), time: Date.now(), topic, end: 0 } as const;
    await log.append("events", { key: topicIdOf(topic), value: encodeEvent(event) });
  }
  for (let n = 0; n < MESSAGES * ONE_IN; n += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => {
      const topic = (n + index) % ONE_IN === ONE_IN / 2 ? sparse : DENSE;
      return log.append("messages", {
        key: topicIdOf(topic),
        value: Buffer.from(stampedBody(BYTES)),
        headers: {
          [MESSAGE_HEADERS.id]: randomUUID(),
          [MESSAGE_HEADERS.contentType]: "application/json",
          [MESSAGE_HEADERS.topic]: topic,
        },
      });
    }));
  }
  return sparse;
}

async function embeddedLog(directory: string): Promise<Log & AsyncDisposable> {
  const onFatal = (error: Error) => {
    throw error;
  };
  return disposable(await openLibsqlLog({ directory, ...KEPT, onFatal }));
}

async function kafkaLog(rig: Rig): Promise<Log & AsyncDisposable> {
  return disposable(await openKafkaLog({ brokers: rig.brokers, prefix: "tidings", clientId: "bench", ...KEPT }));
}

const KEPT = { retentionMs: 7 * 86_400_000, maxMessageBytes: 1_000_000 };

function disposable(log: Log): Log & AsyncDisposable {
  return { ...log, [Symbol.asyncDispose]: () => log.close() };
}
