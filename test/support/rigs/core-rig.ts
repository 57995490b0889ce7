// The engine of a core over a real log in a directory of its own, with its replica, a transport and effects that do as they are
// told, and a clock that is moved by hand. A test crashes it and opens it again as often as it likes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeliverySettings } from "../../../core/delivery/delivery.ts";
import { type Engine, startEngine } from "../../../core/engine.ts";
import { encodeEvent, type HubEvent, type ResultEvent } from "../../../core/state/events.ts";
import type { Notice, PendingIntent, SubscriptionRecord, TopicRecord } from "../../../core/state/records.ts";
import { decodeRecord } from "../../../core/state/records.ts";
import type { Effects, OwedReplay, ReplayResult } from "../../../core/shards/effects-port.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import { RecentIds } from "../../../core/messages/recent-ids.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { type Log, LogError, type ShardRecord } from "../../../core/log/log.ts";
import { openReplica, type Replica } from "../../../core/replica/replica.ts";
import { eventually } from "../eventually.ts";
import { OPEN_SECRETS, OPEN_SIGNERS } from "../keys.ts";
import { createScriptedTransport, type ScriptedTransport } from "./scripted-transport.ts";

export interface ScriptedEffects extends Effects {
  readonly notices: { readonly notice: Notice; readonly sent: () => void }[];
  readonly verifications: { readonly intent: PendingIntent; readonly found: (result: ResultEvent) => void }[];
  readonly fetches: { readonly topic: TopicRecord; readonly fetched: Parameters<Effects["fetch"]>[2] }[];
  readonly hurried: string[];
  readonly replays: { readonly owed: OwedReplay; readonly replayed: (result: ReplayResult) => void }[];
}

export interface CoreRig extends AsyncDisposable {
  readonly directory: string;
  readonly log: Log;
  readonly replica: Replica;
  readonly engine: Engine;
  readonly transport: ScriptedTransport;
  readonly effects: ScriptedEffects;
  /** The transactions that were committed since the rig was opened. */
  readonly commits: readonly (readonly ShardRecord[])[];
  /** The errors that were reported as fatal. */
  readonly failures: readonly Error[];
  /** Called before each commit; a rejection is the commit's. */
  beforeCommit: (records: readonly ShardRecord[]) => Promise<void>;
  append(event: HubEvent): Promise<number>;
  publish(topic: string, body: string): Promise<number>;
  /** Appends an intent and, if given, its result; resolves when they are folded and committed. */
  intend(intent: Intend): Promise<string>;
  /** Looks for leases, takeovers and old records, as the engine does once a second. */
  sweep(): void;
  /** Resolves when every event in the log is folded and committed. */
  folded(): Promise<void>;
  subscription(callback: string, topic?: string): Promise<SubscriptionRecord | undefined>;
  /** Writes nothing more, not even a commit under way, and closes the files: as after a kill. */
  crash(): Promise<void>;
  /** A graceful stop. */
  stop(): Promise<void>;
}

export interface Intend {
  readonly mode?: "subscribe" | "unsubscribe";
  readonly callback: string;
  readonly topic?: string;
  readonly secret?: string;
  readonly leaseMs?: number;
  readonly concurrency?: number;
  readonly start?: number;
  /** undefined: no result comes. */
  readonly verified?: boolean;
}

/** A wall clock, ms since 1970. */
export interface Clock {
  (): number;
  /** Moves the clock on by so many ms; real time passes too. */
  readonly advance: (ms: number) => void;
}

export const TOPIC = "https://example.com/feed";

/** Settings of delivery under which a retry follows at once. */
export const QUICK_DELIVERY: DeliverySettings = {
  userAgent: "test",
  signature: "sha256",
  retry: { minMs: 1, maxMs: 20 },
  parkAfterMs: 900_000,
  probeIntervalMs: 100,
  deadLetterAttempts: 5,
  deadLetter500Attempts: 0,
  laneMemoryBytes: 64 * 1024 * 1024,
};

export function createClock(): Clock {
  let ahead = 0;
  return Object.assign(() => Date.now() + ahead, { advance: (ms: number) => void (ahead += ms) });
}

export interface RigOptions {
  readonly directory: string;
  readonly clock?: Clock;
  readonly transport?: ScriptedTransport;
  readonly retentionMs?: number;
  readonly checkpointMs?: number;
  readonly deadLetterAttempts?: number;
  readonly deadLetter500Attempts?: number;
  readonly parkAfterMs?: number;
}

export async function withDirectory<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-core-"));
  try {
    return await run(directory);
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

let operations = 0;

/** An id that no other operation has. */
export function operationId(): string {
  return `operation-${++operations}`;
}

export async function openCoreRig(options: RigOptions): Promise<CoreRig> {
  const { directory, clock = createClock(), retentionMs = 7 * 86_400_000 } = options;
  const failures: Error[] = [];
  const commits: (readonly ShardRecord[])[] = [];
  const transport = options.transport ?? createScriptedTransport();
  const effects = createScriptedEffects();
  const onFatal = (error: Error) => void failures.push(error);
  let crashed = false;
  const log = await openLibsqlLog({ directory, retentionMs, maxMessageBytes: 1_000_000, onFatal, clock });
  const watched: Log = {
    ...log,
    async openWriter(shard) {
      const writer = await log.openWriter(shard);
      return {
        async commit(records) {
          await rig.beforeCommit(records);
          if (crashed) throw new LogError("closed", "the process was killed");
          await writer.commit(records);
          commits.push(records);
        },
        close: () => writer.close(),
      };
    },
  };
  const replica = await openReplica({
    path: join(directory, "replica.db"),
    log,
    clock,
    onFatal,
    retentionMs,
  });
  let running: Engine | undefined;
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await replica.close();
    await log.close();
  };
  const rig: CoreRig = {
    directory,
    log,
    replica,
    get engine() {
      if (running === undefined) throw new Error("The engine does not run yet");
      return running;
    },
    transport,
    effects,
    commits,
    failures,
    beforeCommit: () => Promise.resolve(),
    async append(event) {
      const partition = "callback" in event ? subscriptionIdOf(event.topic, event.callback) : topicIdOf(event.topic);
      return (await log.append("events", { key: partition, value: encodeEvent(event) })).offset;
    },
    async publish(topic, body) {
      const headers = { [MESSAGE_HEADERS.id]: operationId(), [MESSAGE_HEADERS.contentType]: "text/plain" };
      const value = Buffer.from(body);
      return (await log.append("messages", { key: topicIdOf(topic), value, headers })).offset;
    },
    async intend({ mode = "subscribe", topic = TOPIC, leaseMs = 3_600_000, verified, ...more }) {
      const id = operationId();
      const { callback } = more;
      const end = await log.end("messages", 0);
      const time = clock();
      await rig.append({ type: "intent", id, time, mode, topic, end, leaseMs, ...more });
      if (verified !== undefined) {
        const ended = mode === "unsubscribe" ? { end: await log.end("messages", 0) } : {};
        const at = clock();
        await rig.append({
          type: "result",
          id: operationId(),
          time: at,
          intent: id,
          topic,
          callback,
          verified,
          challengedAt: at,
          ...ended,
        });
      }
      await rig.folded();
      return id;
    },
    sweep: () => rig.engine.ownership.shards[0]!.sweep(),
    async folded() {
      const end = await log.end("events", 0);
      await rig.engine.ownership.shards[0]!.foldedTo(end);
      if (!await replica.reached("subscriptions", 0, end, 5_000)) throw new Error("The replica does not follow");
    },
    subscription: (callback, topic = TOPIC) => replica.subscription(subscriptionIdOf(topic, callback)),
    async crash() {
      crashed = true;
      await rig.engine.stop(0).catch(() => {});
      await close();
    },
    async stop() {
      await rig.engine.stop(5_000);
      await close();
    },
    async [Symbol.asyncDispose]() {
      if (!closed) await rig.crash();
    },
  };
  try {
    running = await startEngine({
      log: watched,
      replica,
      delivery: {
        transport,
        recentIds: new RecentIds(clock),
        signers: OPEN_SIGNERS,
        settings: {
          ...QUICK_DELIVERY,
          parkAfterMs: options.parkAfterMs ?? QUICK_DELIVERY.parkAfterMs,
          deadLetterAttempts: options.deadLetterAttempts ?? QUICK_DELIVERY.deadLetterAttempts,
          deadLetter500Attempts: options.deadLetter500Attempts ?? QUICK_DELIVERY.deadLetter500Attempts,
        },
      },
      effects,
      secrets: OPEN_SECRETS,
      hubUrl: "http://hub.example/hub",
      retentionMs,
      checkpointMs: options.checkpointMs ?? 20,
      clock,
      random: Math.random,
      onFatal,
    });
  } catch (error) {
    await close();
    throw error;
  }
  return rig;
}

export function createScriptedEffects(): ScriptedEffects {
  const effects: ScriptedEffects = {
    notices: [],
    verifications: [],
    fetches: [],
    hurried: [],
    replays: [],
    notify: (notice, sent) => void effects.notices.push({ notice, sent }),
    verify: (intent, found) => void effects.verifications.push({ intent, found }),
    fetch: (_id, topic, fetched) => void effects.fetches.push({ topic, fetched }),
    replay: (owed, replayed) => void effects.replays.push({ owed, replayed }),
    hurry: (id) => void effects.hurried.push(id),
  };
  return effects;
}

/** The newest record of each key of a compacted stream, as the log has it now; `null` is a tombstone. */
export async function compacted<T>(log: Log, stream: "topics" | "subscriptions" | "cursors"): Promise<Map<string, T>> {
  const found = new Map<string, T>();
  const end = await log.end(stream, 0);
  for (let from = 0; from < end;) {
    const chunk = await log.read(stream, 0, from, { maxBytes: 4 * 1024 * 1024 });
    for (const { key, value } of chunk.records) {
      if (value === null) found.delete(key);
      else found.set(key, decodeRecord<T>(value));
    }
    from = chunk.next;
  }
  return found;
}

/** The value of a committed record. */
export function valueOf<T>(record: ShardRecord): T | null {
  return record.value === null ? null : decodeRecord<T>(record.value);
}

/** Waits until the transport was asked for so many attempts. */
export function attempts(rig: Pick<CoreRig, "transport">, count: number) {
  return eventually(`${count} attempts`, () => rig.transport.posts.length >= count && rig.transport.posts, {
    seen: () => rig.transport.posts.map(({ text }) => text).join(", "),
  });
}
