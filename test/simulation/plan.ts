// The plan that a seed yields: the numbers of all actors, the speed of the network, and the kinds and rates of faults.
import { Random } from "../support/load/random.ts";

export type Deed = "kill" | "sleep" | "stall" | "cut" | "leave" | "join";

export interface Plan {
  readonly partitions: number;
  readonly topics: readonly string[];
  /** Topic and callback of each subscriber. */
  readonly pairs: readonly { readonly name: string; readonly topic: string; readonly callback: string }[];
  readonly cores: number;
  /** How long the actors act, ms. */
  readonly lastsMs: number;
  readonly networkMs: number;
  /** The longest delay of a connection's fetches, ms; each connection has its own. */
  readonly lagMs: number;
  readonly pauseMs: number;
  readonly publishMs: number;
  readonly keyed: number;
  readonly deregisters: number;
  /** Topics exist only if they were registered. */
  readonly required: boolean;
  readonly shortLeases: number;
  /** The chance that an edge takes an intent and vanishes. */
  readonly edgesDie: number;
  /** The faults to choose from; one that stands here twice is twice as likely. */
  readonly deeds: readonly Deed[];
  /** The chance that a fault lasts longer than a session, which is 10 s. */
  readonly longDeeds: number;
  /** How long such a fault lasts, ms; at most half as much again. */
  readonly longMs: number;
  /** The chance that a fault begins while another lasts. */
  readonly overlaps: number;
  /** Mean time between two faults, ms. */
  readonly faultMs: number;
  readonly breaks: number;
  /** The longest time that reading the clock takes, ms: it makes a process busy. */
  readonly busyMs: number;
  readonly settings: Readonly<Record<string, string>>;
  /** The offset of the first record of a partition of `messages`. */
  readonly messagesFrom: (partition: number) => number;
}

export const DEAD_LETTER_ATTEMPTS = 3;

export function planOf(seed: number): Plan {
  const random = new Random(seed, "plan");
  const topics = Array.from({ length: random.integer(1, 3) }, (_, index) => `topic-${index}`);
  const pairs = Array.from({ length: random.integer(2, 6) }, (_, index) => ({
    name: `s${index}`,
    topic: random.pick(topics),
    callback: `https://s${index}.example/${random.chance(0.3) ? "a/b" : "cb"}`,
  }));
  const starts = Array.from({ length: 4 }, () => random.chance(0.5) ? 0 : 2_000 - random.integer(1, 60));
  const required = random.chance(0.2);
  return {
    required,
    partitions: random.integer(1, 3),
    topics,
    pairs,
    cores: random.integer(1, 3),
    lastsMs: random.chance(0.1) ? 30_000 : random.between(3_000, 10_000),
    networkMs: random.pick([1, 2, 5, 20]),
    lagMs: random.pick([0, 0, 0, 200, 1_000]),
    pauseMs: random.pick([1_000, 3_000]),
    publishMs: random.pick([20, 60, 200]),
    keyed: random.pick([0, 0.2, 0.6]),
    deregisters: random.pick([0, 0, 0.3]),
    shortLeases: random.pick([0, 0.2]),
    deeds: ["kill", "kill", "sleep", "sleep", "stall", "cut", "leave", "join"],
    longDeeds: 0.35,
    longMs: 9_500,
    overlaps: 0.6,
    edgesDie: random.chance(0.1) ? 0.1 : 0,
    faultMs: random.pick([500, 1_500, 4_000]),
    breaks: random.pick([0, 0, 0.002, 0.01]),
    busyMs: random.pick([0, 0, 0, 0.5, 12]),
    settings: {
      TIDINGS_TOPIC_REGISTRATION: required ? "required" : "automatic",
      TIDINGS_RETRY_MIN: "100ms",
      TIDINGS_RETRY_MAX: "2s",
      TIDINGS_PARK_AFTER: random.pick(["4s", "15m"]),
      TIDINGS_PROBE_INTERVAL: "3s",
      TIDINGS_LANE_MEMORY_BYTES: random.pick(["65536", "268435456"]),
      TIDINGS_DEAD_LETTER_ATTEMPTS: String(DEAD_LETTER_ATTEMPTS),
    },
    messagesFrom: (partition) => starts[partition] ?? 0,
  };
}
