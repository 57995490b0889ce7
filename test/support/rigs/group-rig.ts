// Several processes of one group over one embedded log, in this process. The test says which of them has the one shard, and how fresh
// each session is. Writers fence each other as on Kafka; each process has its own replica, lanes and transport.
import { join } from "node:path";
import { type Engine, startEngine } from "../../../core/engine.ts";
import { encodeEvent, type HubEvent } from "../../../core/state/events.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import { RecentIds } from "../../../core/messages/recent-ids.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { type Log, LogError, type Member, type ShardRecord, type ShardWriter } from "../../../core/log/log.ts";
import { openReplica, type Replica } from "../../../core/replica/replica.ts";
import { createScriptedEffects, operationId, QUICK_DELIVERY, type ScriptedEffects, TOPIC } from "./core-rig.ts";
import { eventually } from "../eventually.ts";
import { OPEN_SECRETS, OPEN_SIGNERS } from "../keys.ts";
import { createScriptedTransport, type ScriptedTransport } from "./scripted-transport.ts";

export interface GroupProcess {
  readonly engine: Engine;
  readonly replica: Replica;
  readonly transport: ScriptedTransport;
  readonly effects: ScriptedEffects;
  /** The transactions that it committed. */
  readonly commits: readonly (readonly ShardRecord[])[];
  readonly failures: readonly Error[];
  /** Reads of `messages` outside the tail. */
  readonly reads: number;
  /** How often it asked to join the group again. */
  readonly rejoins: number;
  readonly left: boolean;
  /** The age of its session, ms; 0 at first. It stays the same while time passes. */
  sessionAgeMs: number;
  assign(...shards: number[]): void;
  /** Resolves when the shard's lanes run here. */
  runs(): Promise<void>;
  /** Resolves when the shard is no longer here. */
  lacks(): Promise<void>;
  stop(): Promise<void>;
}

export interface OpenOptions {
  readonly wrap?: (log: Log) => Log;
  /** Whether to wait until it has started; default true. */
  readonly ready?: boolean;
  /** Ends the wait for its start. */
  readonly signal?: AbortSignal;
}

export interface GroupRig extends AsyncDisposable {
  readonly log: Log;
  /** Called before each commit of any process; a rejection is the commit's. */
  beforeCommit: (process: string) => Promise<void>;
  /** Opens a process, which has joined the group and has no shard. */
  open(name: string, options?: OpenOptions): Promise<GroupProcess>;
  append(event: HubEvent): Promise<number>;
  publish(body: string, topic?: string): Promise<number>;
  /** Appends an intent and its yes. */
  intend(callback: string, mode?: "subscribe" | "unsubscribe", topic?: string): Promise<void>;
}

export async function openGroupRig(directory: string): Promise<GroupRig> {
  const embedded = await openLibsqlLog({
    directory,
    retentionMs: 7 * 86_400_000,
    maxMessageBytes: 1_000_000,
    onFatal: (error) => {
      throw error;
    },
  });
  let newest: object | undefined;
  const processes: GroupProcess[] = [];

  async function openWriter(mayOpen: () => boolean, commit: (records: readonly ShardRecord[]) => Promise<void>) {
    if (!mayOpen()) throw new LogError("fenced", "the session is in doubt");
    const inner = await embedded.openWriter(0);
    const mark = newest = {};
    let isClosed = false;
    const writer: ShardWriter = {
      async commit(records) {
        await commit(records);
        if (isClosed) throw new LogError("closed", "its writer is closed");
        if (newest !== mark) throw new LogError("fenced", "another owner has taken the shard");
        await inner.commit(records);
      },
      close: () => {
        isClosed = true;
        return Promise.resolve();
      },
    };
    return writer;
  }

  const rig: GroupRig = {
    log: embedded,
    beforeCommit: () => Promise.resolve(),
    async open(name, { wrap = (log: Log) => log, ready = true, signal } = {}) {
      const commits: (readonly ShardRecord[])[] = [];
      const failures: Error[] = [];
      let member: Member | undefined;
      let sessionAgeMs = 0;
      let [reads, rejoins, left] = [0, 0, false];
      let assigned: readonly number[] = [];
      const log = wrap({
        ...embedded,
        // As on Kafka: no index by key, and a group.
        supports: { keyIndex: false, group: true },
        async read(stream, ...rest) {
          if (stream === "messages") reads++;
          return await embedded.read(stream, ...rest);
        },
        openWriter: (_, mayOpen = () => true) =>
          openWriter(mayOpen, async (records) => {
            await rig.beforeCommit(name);
            commits.push(records);
          }),
        join(joining) {
          member = joining;
          queueMicrotask(() => joining.assigned(assigned));
          return {
            confirmedAt: () => performance.now() - sessionAgeMs,
            rejoin: () => {
              rejoins++;
              queueMicrotask(() => joining.assigned(assigned));
            },
            leave: () => {
              left = true;
              return Promise.resolve();
            },
          };
        },
      });
      const clock = Date.now;
      const onFatal = (error: Error) => void failures.push(error);
      const replica = await openReplica({ path: join(directory, `${name}.db`), log, clock, onFatal });
      const transport = createScriptedTransport();
      const effects = createScriptedEffects();
      let running: Engine | undefined;
      const starting = startEngine({
        log,
        replica,
        delivery: {
          transport,
          recentIds: new RecentIds(clock),
          signers: OPEN_SIGNERS,
          settings: QUICK_DELIVERY,
        },
        effects,
        secrets: OPEN_SECRETS,
        hubUrl: "http://hub.example/hub",
        retentionMs: 7 * 86_400_000,
        checkpointMs: 20,
        clock,
        random: Math.random,
        signal,
        onFatal,
      }).then((engine) => running = engine);
      const opened: GroupProcess = {
        get engine() {
          if (running === undefined) throw new Error(`${name} does not run yet`);
          return running;
        },
        replica,
        transport,
        effects,
        commits,
        failures,
        get reads() {
          return reads;
        },
        get rejoins() {
          return rejoins;
        },
        get left() {
          return left;
        },
        get sessionAgeMs() {
          return sessionAgeMs;
        },
        set sessionAgeMs(ms) {
          sessionAgeMs = ms;
        },
        assign(...shards) {
          assigned = shards;
          member?.assigned(shards);
        },
        runs: async () =>
          void await eventually(`${name} to have the shard`, () => running?.ownership.shards[0]?.isRunning),
        lacks: async () =>
          void await eventually(`${name} to release the shard`, () => running?.ownership.shards.length === 0),
        async stop() {
          await starting.then((engine) => engine.stop(5_000), () => {});
          await replica.close();
        },
      };
      processes.push(opened);
      if (ready) await starting;
      return opened;
    },
    async append(event) {
      const key = "callback" in event ? subscriptionIdOf(event.topic, event.callback) : topicIdOf(event.topic);
      return (await embedded.append("events", { key, value: encodeEvent(event) })).offset;
    },
    async publish(body, topic = TOPIC) {
      const headers = { [MESSAGE_HEADERS.id]: operationId(), [MESSAGE_HEADERS.contentType]: "text/plain" };
      return (await embedded.append("messages", { key: topicIdOf(topic), value: Buffer.from(body), headers })).offset;
    },
    async intend(callback, mode = "subscribe", topic = TOPIC) {
      const [id, time, end] = [operationId(), Date.now(), await embedded.end("messages", 0)];
      await rig.append({ type: "intent", id, time, mode, topic, callback, end, leaseMs: 3_600_000 });
      const result = { id: operationId(), time, intent: id, topic, callback, verified: true, challengedAt: time };
      await rig.append({ type: "result", ...result, ...(mode === "unsubscribe" ? { end } : {}) });
    },
    async [Symbol.asyncDispose]() {
      for (const process of processes) await process.stop().catch(() => {});
      await embedded.close();
    },
  };
  return rig;
}
