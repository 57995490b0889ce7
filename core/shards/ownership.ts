// Which shards are here: taken and let go of as the group says, each by itself, so that one that cannot be taken holds up no other
// (A3.2 to A3.4). Where there is no group, all of them are here from the start.
//
//    wanted ──► taking ──► here ──► (not wanted) releasing ──► gone
//                 ▲          │ fenced, or its writer failed
//                 └─ 0.2–1 s ┴ dropped; the group is asked again
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import { LogError, type Member, type Membership } from "../log/log.ts";
import type { ReleaseLimits, Shard } from "./shard.ts";

export interface OwnershipOptions {
  /** Takes a shard (A3.2): calls `opened` as soon as it can be fed, resolves when its lanes run. */
  readonly take: (number: number, holding: Holding) => Promise<Shard | undefined>;
  /** No more events for it. */
  readonly unfollow: (number: number) => void;
  readonly join: ((member: Member) => Membership) | undefined;
  readonly predecessor: string | undefined;
  readonly joinedAs: (id: string) => void;
  readonly random: () => number;
  /** Where no other process can go on, a shard that is lost is the end of this one; and so is a log with wrong settings. */
  readonly onFatal: (error: Error) => void;
}

/** What `take` is told, and tells. */
export interface Holding {
  /** Aborted when the shard is not wanted any more. */
  readonly signal: AbortSignal;
  readonly opened: (shard: Shard) => void;
  readonly onLost: (error: Error) => void;
}

interface Held {
  readonly number: number;
  readonly unwanted: AbortController;
  shard: Shard | undefined;
  limits: ReleaseLimits;
  running: Promise<void>;
}

export interface Ownership {
  /** In the order of their numbers. */
  shards(): readonly Shard[];
  shard(number: number): Shard | undefined;
  /**
   * Resolves when every shard runs that was wanted first, or after `timeoutMs`, or when `signal` aborts.
   * @throws {Error} where there is no group and one cannot be taken @throws {LogError} "misconfigured"
   */
  settled(timeoutMs: number | undefined, signal?: AbortSignal): Promise<void>;
  readonly counts: { readonly rebalances: number; readonly taken: number; readonly fenced: number };
  /** Of the group; undefined where there is none. */
  readonly membership: Membership | undefined;
  /** Releases all, then leaves (A3.3); attempts have this long to be answered where nobody waits for them. Never rejects. */
  stop(deadlineMs: number): Promise<void>;
}

/** A3.3, A3.2: whoever takes a shard does not wait for longer. */
const WHEN_IT_MOVES: ReleaseLimits = { answersMs: 1_000, batchMs: 1_500 };
/** Of the one process of a log. */
const LAST_BATCH_MS = 10_000;
/** For closing what a release has not closed in its time. */
const GRACE_MS = 2_500;

const logger = getLogger(["tidings", "core", "consolidator"]);

/** Begins to take what is this process's: all of `numbers`, or what the group gives it. */
export function createOwnership(numbers: readonly number[], options: OwnershipOptions): Ownership {
  const held = new Map<number, Held>();
  const counts = { rebalances: 0, taken: 0, fenced: 0 };
  let wanted = new Set<number>();
  let stopped = false;
  const running = new Set<number>();
  const settled = Promise.withResolvers<void>();
  let isSettled = false;
  settled.promise.catch(() => {});

  function assigned(shards: readonly number[]): void {
    if (stopped) return;
    counts.rebalances++;
    wanted = new Set(shards);
    for (const one of held.values()) if (!wanted.has(one.number)) one.unwanted.abort();
    for (const number of wanted) hold(number);
    look();
  }

  function hold(number: number): void {
    // One that is just being released is taken again when that is done.
    if (held.has(number)) return;
    const one: Held = {
      number,
      unwanted: new AbortController(),
      shard: undefined,
      limits: WHEN_IT_MOVES,
      running: Promise.resolve(),
    };
    held.set(number, one);
    one.running = run(one).finally(() => {
      held.delete(number);
      if (wanted.has(number) && !stopped) hold(number);
      look();
    });
  }

  async function run(one: Held): Promise<void> {
    const { number, unwanted: { signal } } = one;
    const lost = Promise.withResolvers<Error>();
    const unwanted = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
    let failure: Error | undefined;
    try {
      const holding = { signal, opened: (shard: Shard) => void (one.shard = shard), onLost: lost.resolve };
      const taking = options.take(number, holding);
      // Lost while it is taken: what is awaited may never come.
      failure = await Promise.race([taking.then(() => undefined), lost.promise]);
      if (failure === undefined && !signal.aborted) {
        counts.taken++;
        running.add(number);
        look();
        failure = await Promise.race([lost.promise, unwanted]);
      }
      running.delete(number);
      options.unfollow(number);
      if (failure === undefined) await one.shard?.release(one.limits);
      else await one.shard?.drop();
      await taking.catch(() => {});
      // It may have been lost just before its events were to be followed.
      options.unfollow(number);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      options.unfollow(number);
    }
    one.shard = undefined;
    if (failure === undefined || signal.aborted || stopped) return;
    await afterFailure(number, failure, signal);
  }

  async function afterFailure(number: number, error: Error, signal: AbortSignal): Promise<void> {
    const expected = error instanceof LogError;
    // Without a group nobody else can go on with it; and nobody could whose Kafka is not what it must be.
    if (membership === undefined || (expected && error.code === "misconfigured")) {
      wanted.delete(number);
      return isSettled ? options.onFatal(error) : settled.reject(error);
    }
    logger[expected ? "warn" : "error"](
      "Shard {shard} is let go of, and taken again if it is still this process's: {error}",
      { shard: number, error: expected ? error.message : error },
    );
    if (expected && error.code === "fenced") {
      counts.fenced++;
      // It may have been put out of the group without knowing (A3.4).
      membership.rejoin();
    }
    await pause(200 + options.random() * 800, signal);
  }

  function look(): void {
    if (isSettled || counts.rebalances === 0 || [...wanted].some((number) => !running.has(number))) return;
    isSettled = true;
    settled.resolve();
  }

  const membership = options.join?.({
    // In order, so that the same shards are the same bytes: a member that comes with others starts a rebalance.
    held: () =>
      [...held.values()].filter(({ unwanted }) => !unwanted.signal.aborted).map(({ number }) => number)
        .toSorted((a, b) => a - b),
    assigned,
    predecessor: options.predecessor,
    joinedAs: options.joinedAs,
    // A process that runs waits for the permission to come back.
    forbidden: (error) => settled.reject(error),
  });
  if (membership === undefined) assigned(numbers);

  return {
    shards: () => [...held.values()].flatMap(({ shard }) => shard ?? []).toSorted((a, b) => a.number - b.number),
    shard: (number) => held.get(number)?.shard,
    async settled(timeoutMs, signal) {
      if (timeoutMs === undefined) return await settled.promise;
      const timer = new AbortController();
      const over = signal === undefined ? timer.signal : AbortSignal.any([timer.signal, signal]);
      await Promise.race([settled.promise, pause(timeoutMs, over)]);
      timer.abort();
      // Nobody waits any more to be told.
      isSettled = true;
    },
    counts,
    membership,
    async stop(deadlineMs) {
      stopped = true;
      const limits = membership === undefined
        ? { answersMs: deadlineMs, batchMs: LAST_BATCH_MS }
        // With all shards here nobody waits to take over: subscribers have as long to answer as with one process.
        : held.size === numbers.length
        ? { ...WHEN_IT_MOVES, answersMs: deadlineMs }
        : WHEN_IT_MOVES;
      for (const one of held.values()) {
        one.limits = limits;
        one.unwanted.abort();
      }
      const late = new AbortController();
      const all = Promise.all([...held.values()].map((one) => one.running));
      // What the log does not answer is not waited for: whoever takes over finds what was written last.
      await Promise.race([all, pause(limits.answersMs + limits.batchMs + GRACE_MS, late.signal)]);
      late.abort();
      await membership?.leave();
    },
  };
}
