// Sabotages: faults that a test puts into a core to show that the simulation finds them. No setting reaches them: they wrap
// what the core is given, break the simulated broker, or replace a method during a run.
import { BlockIndex } from "../../core/messages/block-index.ts";
import { Lane } from "../../core/delivery/lane/lane.ts";
import { Shard } from "../../core/shards/shard.ts";
import { RecentIds } from "../../core/messages/recent-ids.ts";
import { Ring } from "../../core/messages/ring.ts";
import type { Plan } from "./plan.ts";
import type { Log, ShardRecord } from "../../core/log/log.ts";

export interface Sabotage {
  readonly name: string;
  /** Wraps the log that a core gets. */
  readonly log: (log: Log) => Log;
  /** Whether brokers fence a producer that has a successor. */
  readonly fences: boolean;
  /** Replaces methods; the returned function puts them back. */
  readonly patch: () => () => void;
  /** Changes the plan so that the sabotage shows sooner. */
  readonly adjust: (plan: Plan) => Plan;
  /** The seed to begin with, so that a test is short. */
  readonly firstSeed: number;
}

export const NO_SABOTAGE: Sabotage = {
  name: "none",
  log: (log) => log,
  fences: true,
  patch: () => () => {},
  adjust: (plan) => plan,
  firstSeed: 1,
};

const sabotage = (name: string, what: Partial<Sabotage>): Sabotage => ({ ...NO_SABOTAGE, ...what, name });

/** The sabotages, each by the rule that it breaks. The simulation must find each. */
export const SABOTAGES: readonly Sabotage[] = [
  sabotage("A4.3 checkpoint before delivery", {
    // Every lane says that it is done up to the watermark.
    patch: () => replacing(Lane.prototype, "record", () => () => undefined),
    adjust: (plan) => ({ ...plan, deeds: ["kill"], faultMs: 1_500, lastsMs: 15_000 }),
  }),
  sabotage("A4.3 watermark passed without its lane's record", {
    log: (log) =>
      committing(log, (records) => records.filter((record) => !isPosition(record) || record.value === null)),
    adjust: (plan) => ({ ...plan, deeds: ["kill"], faultMs: 1_500, lastsMs: 15_000, pauseMs: 1_000 }),
  }),
  sabotage("A3.1 no fencing", {
    fences: false,
    firstSeed: 20,
    // A sleeper writes when it wakes, and a third core reads it.
    adjust: (plan) => ({
      ...plan,
      cores: 2,
      partitions: 1,
      deeds: ["sleep", "kill"],
      longDeeds: 1,
      longMs: 15_000,
      overlaps: 0,
      lastsMs: 60_000,
      pauseMs: 1_000,
      faultMs: 2_000,
    }),
  }),
  sabotage("A3.2 lanes started before the backlog is folded", {
    patch: () => replacing(Shard.prototype, "foldedTo", () => () => Promise.resolve()),
    log: withoutBacklog,
  }),
  sabotage("A3.4 a sleeper sends", {
    log: (log) => ({
      ...log,
      join: (member) => {
        const membership = log.join!(member);
        return {
          confirmedAt: () => Infinity,
          rejoin: () => membership.rejoin(),
          leave: () => membership.leave(),
        };
      },
    }),
    adjust: (plan) => ({
      ...plan,
      deeds: ["sleep"],
      longDeeds: 1,
      overlaps: 0,
      cores: 2,
      lastsMs: 25_000,
      publishMs: 20,
    }),
  }),
  sabotage("A3.11 an answer from an old state", {
    log: (log) => ({
      ...log,
      end: (stream, partition) => stream === "events" ? Promise.resolve(0) : log.end(stream, partition),
    }),
  }),
  sabotage("A4.3 an old life's cursor restored", {
    log: oldLives,
    firstSeed: 8,
    adjust: (plan) => ({ ...plan, lastsMs: 20_000, pauseMs: 1_000, faultMs: 1_500 }),
  }),
  sabotage("A4.1 the tail joined without the ring", {
    patch: () => replacing(Ring.prototype, "since", () => () => []),
  }),
  sabotage("A4.4 what was published twice under one key delivered twice", {
    patch: () => replacing(BlockIndex.prototype, "pass", withoutRepeats),
    adjust: (plan) => ({ ...plan, cores: 3, keyed: 0.6 }),
  }),
  sabotage("A4.4 what an edge sent twice delivered twice", {
    patch: () => replacing(RecentIds.prototype, "seen", () => () => false),
    firstSeed: 50,
    adjust: (plan) => ({ ...plan, cores: 3, keyed: 0, deeds: ["kill"], faultMs: 1_000, publishMs: 20 }),
  }),
  sabotage("A3.9 a deregister in one partition only", {
    log: (log) => ({
      ...log,
      append: async (stream, record, partition) =>
        partition === undefined || partition === log.partitionOf(stream, record.key)
          ? await log.append(stream, record, partition)
          : { partition, offset: 0, time: 0 },
    }),
    adjust: (plan) => ({ ...plan, partitions: 3, required: false, deregisters: 1 }),
  }),
];

function isPosition({ stream, key }: ShardRecord): boolean {
  return stream === "cursors" && !key.startsWith("~");
}

function committing(log: Log, change: (records: readonly ShardRecord[]) => readonly ShardRecord[]): Log {
  return {
    ...log,
    async openWriter(...parameters) {
      const writer = await log.openWriter(...parameters);
      return { commit: (records) => writer.commit(change(records)), close: () => writer.close() };
    },
  };
}

/** A new life's first cursor is the old life's, as if nobody compared the lives. */
function oldLives(log: Log): Log {
  const last = new Map<string, { life: number }>();
  return committing(log, (records) =>
    records.flatMap((record) => {
      if (!isPosition(record)) return [record];
      // The record of a life that ended stays.
      if (record.value === null) return [];
      const position = JSON.parse(Buffer.from(record.value).toString()) as { life: number };
      const before = last.get(record.key);
      last.set(record.key, position);
      if (before === undefined || before.life === position.life) return [record];
      return [{ ...record, value: Buffer.from(JSON.stringify({ ...before, life: position.life })) }];
    }));
}

/** The events of a shard seem to end where they begin when a core takes it; they come a little later. */
function withoutBacklog(log: Log): Log {
  const taken = new Set<number>();
  return {
    ...log,
    // Only a core that takes a shard asks for the start, right before it asks for the end.
    start: (stream, partition) => {
      if (stream === "events") taken.add(partition);
      return log.start(stream, partition);
    },
    end: (stream, partition) =>
      stream === "events" && taken.delete(partition) ? Promise.resolve(0) : log.end(stream, partition),
  };
}

/** Hides all repeats among what the tail brings. */
function withoutRepeats(pass: BlockIndex["pass"]): BlockIndex["pass"] {
  return function (this: BlockIndex, batch) {
    const repeats = pass.call(this, batch);
    return repeats instanceof Promise ? repeats.then(() => new Set<number>()) : new Set<number>();
  };
}

function replacing<T extends object, K extends keyof T>(prototype: T, name: K, by: (before: T[K]) => T[K]): () => void {
  const before = prototype[name];
  prototype[name] = by(before);
  return () => void (prototype[name] = before);
}
