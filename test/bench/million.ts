// A million subscriptions in one core: the memory of each, the time of a start, and the latency of a message to a thousand and
// to a hundred thousand of them.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import { openLibsqlLog } from "../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../core/log/log.ts";
import { type CoreKey, makeCoreKey, publicHalf } from "../../shared/jwks.ts";
import { eventually } from "../support/eventually.ts";
import { clock } from "./clock.ts";
import { type FilledTopic, fillState } from "./fill-state.ts";
import { publish } from "./parts.ts";
import type { Bench, Rig } from "./rig.ts";
import { row, table } from "./table.ts";
import { saturate } from "./throughput.ts";

export interface MillionOptions {
  readonly subscriptions: number;
  /** How many of them are of one topic. */
  readonly wide: number;
}

const PER_TOPIC = 1_000;
const READY_WITHIN_MS = 300_000;
const DELIVERED_WITHIN_MS = 180_000;
const MESSAGES = 20;
const RETENTION_MS = 7 * 86_400_000;
const WIDE_TOPIC = "https://bench.test/wide";
const topicOf = (n: number) => `https://bench.test/topics/of-a-million/${n}`;

export function million(options: MillionOptions): Bench {
  return {
    name: "million",
    async run(rig, open) {
      const dataDir = await mkdtemp(join(tmpdir(), "tidings-million-"));
      const prefix = `million-${randomUUID().slice(0, 8)}`;
      const key = await makeCoreKey();
      const settings = {
        TIDINGS_CORE_KEYS: JSON.stringify({ keys: [key] }),
        ...(rig.kind === "kafka" ? { TIDINGS_KAFKA_PREFIX: prefix } : {}),
      };
      try {
        const filledIn = await seconds(() => fill(rig, { ...options, dataDir, prefix, key }));
        const opened = performance.now();
        await using other = await open({ dataDir, settings, sink: rig.sink, readyWithinMs: READY_WITHIN_MS });
        await measure(rig, other, options, { filledIn, firstStart: (performance.now() - opened) / 1_000 });
      } finally {
        await rm(dataDir, { recursive: true, force: true });
      }
    },
  };
}

async function fill(
  rig: Rig,
  { subscriptions, wide, dataDir, prefix, key }: MillionOptions & {
    readonly dataDir: string;
    readonly prefix: string;
    readonly key: CoreKey;
  },
): Promise<void> {
  const log = rig.kind === "kafka" ? await kafka(rig.brokers, prefix) : await embedded(dataDir);
  try {
    await fillState(log, topics(rig.sink.port, { subscriptions, wide }), publicHalf(key));
  } finally {
    await log.close();
  }
}

function embedded(directory: string): Promise<Log> {
  return openLibsqlLog({
    directory,
    retentionMs: RETENTION_MS,
    maxMessageBytes: 1_000_000,
    onFatal: (error) => {
      throw error;
    },
  });
}

function kafka(brokers: readonly string[], prefix: string): Promise<Log> {
  return openKafkaLog({ brokers, prefix, retentionMs: RETENTION_MS, maxMessageBytes: 1_000_000, clientId: "bench" });
}

function* topics(port: number, { subscriptions, wide }: MillionOptions): Generator<FilledTopic> {
  const callbacks = function* (topic: string, count: number): Generator<string> {
    const path = encodeURIComponent(topic.slice("https://bench.test/".length));
    for (let n = 0; n < count; n++) yield `http://127.0.0.1:${port}/healthy/${path}/subscriber-${n}`;
  };
  yield { topic: WIDE_TOPIC, callbacks: callbacks(WIDE_TOPIC, wide) };
  const narrow = Math.ceil((subscriptions - wide) / PER_TOPIC);
  for (let n = 0; n < narrow; n++) yield { topic: topicOf(n), callbacks: callbacks(topicOf(n), PER_TOPIC) };
}

interface Starts {
  readonly filledIn: number;
  readonly firstStart: number;
}

async function measure(
  empty: Rig,
  rig: Rig,
  { subscriptions, wide }: MillionOptions,
  { filledIn, firstStart }: Starts,
): Promise<void> {
  const { hub, sink } = rig;
  const afterFirst = await rig.memory("core");
  const stopped = await seconds(() => hub.stop("core"));
  const restarted = await seconds(() => hub.start("core"));
  const quiet = await settled(rig);
  const base = await empty.memory("core");

  const usual = await published(rig, topicOf(0));
  await rig.resetPeak("core");
  const wideAt = clock();
  await sink.reset();
  await publish({ hub: hub.url, topic: WIDE_TOPIC, messages: 1, connections: 1 });
  const received = await sink.received(wide, undefined, DELIVERED_WITHIN_MS);
  const all = (received.lastAt - wideAt) / 1_000;
  const wideMemory = await rig.memory("core");
  const afterwards = await settled(rig);

  const each = (megabytes: number) => megabytes * 1e6 / subscriptions;
  table([`million: ${subscriptions.toLocaleString("en")} subscriptions, one core`, "figure"]);
  row("written into the log in, s", filledIn);
  row("first start, the replica made from the log: ready in, s", firstStart);
  row("core's memory then, MB, now", afterFirst.now);
  row("core's memory then, MB, at most", afterFirst.peak);
  row("graceful stop, s", stopped);
  row("restart: ready in, s", restarted);
  row("core's memory, MB, now", quiet.now);
  row("core's memory, MB, at most", quiet.peak);
  row("a core without subscriptions, MB", base.now);
  row("bytes of memory a subscription, all told", each(quiet.now));
  row("bytes of memory a subscription, beyond an empty core's", each(quiet.now - base.now));
  row(`${MESSAGES} messages to a topic of ${PER_TOPIC}, delivered/s`, usual);
  row(`one message to ${wide.toLocaleString("en")}: all have it after, s`, all);
  row("that is, delivered/s", wide / all);
  row("core's memory meanwhile, MB, at most", wideMemory.peak);
  row("core's memory afterwards, MB", afterwards.now);
}

async function published(rig: Rig, topic: string): Promise<number> {
  await saturate(rig, topic, MESSAGES, PER_TOPIC);
  const { delivered } = await saturate(rig, topic, MESSAGES, PER_TOPIC);
  return delivered;
}

/** A core's memory once it is nearly constant: a start's temporary memory goes back bit by bit. */
async function settled(rig: Rig): Promise<{ readonly now: number; readonly peak: number }> {
  let last = await rig.memory("core");
  await eventually("the core's memory to settle", async () => {
    const next = await rig.memory("core");
    const still = Math.abs(next.now - last.now) < last.now * 0.005;
    last = next;
    return still;
  }, { deadlineMs: 60_000, everyMs: 4_000 });
  return last;
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1_000;
}
