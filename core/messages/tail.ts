// The tail: the one reader of `messages` in this process. It offers each message once, by reference, keeps the newest messages in memory,
// and says how far it has come (ARCHITECTURE §4, A4.1).
import type { BlockIndex, Repeats } from "./block-index.ts";
import type { Batch, Follower, Gap, Log } from "../log/log.ts";
import { nextTurn, TURN_MS } from "../../shared/turn.ts";
import { type Message, toMessage } from "./message.ts";
import type { RecentIds } from "./recent-ids.ts";
import { Ring } from "./ring.ts";

export interface TailDependencies {
  readonly log: Log;
  readonly blocks: BlockIndex;
  readonly recentIds: RecentIds;
}

/** Called in the middle of a step. */
export interface TailListener {
  /** The next message of a partition that is not a repeat. Each step of the iteration offers it to one more lane. */
  offer(message: Message): Iterable<void>;
  /** Retention removed messages before the tail read them (A4.5). */
  skipped(partition: number, gap: Gap): void;
  /** The tail pauses: other work has its turn. */
  stepped(): void;
}

interface Wait {
  readonly partition: number;
  readonly offset: number;
  readonly done: (passed: boolean) => void;
  readonly timer: NodeJS.Timeout;
}

/** The clock is read once for so many offers. */
const OFFERS_PER_CLOCK = 64;

export class Tail {
  readonly #dependencies: TailDependencies;
  readonly #listener: TailListener;
  readonly #next: number[];
  readonly #ring: Ring;
  readonly #watching = new Map<string, Set<(message: Message) => void>>();
  readonly #passing = new Set<Wait>();
  #follower: Follower | undefined;
  #closed = false;

  /** `from`: per partition of `messages`, the first offset that it offers. */
  constructor(dependencies: TailDependencies, listener: TailListener, from: readonly number[]) {
    this.#dependencies = dependencies;
    this.#listener = listener;
    this.#next = [...from];
    this.#ring = new Ring(from);
  }

  /** Begins to follow the log. */
  start(): void {
    const { log, blocks } = this.#dependencies;
    this.#follower = log.follow({ messages: this.#next }, (batch) => {
      const repeats = blocks.pass(batch);
      // Repeats are looked up before the step. The follower waits for that, so the order stays.
      return repeats instanceof Promise
        ? repeats.then((found) => this.#offerBatch(batch, found))
        : this.#offerBatch(batch, repeats);
    });
  }

  /** Offers nothing more. Calls of `passed` that still wait resolve with false. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#follower?.close();
    for (const wait of this.#passing) {
      clearTimeout(wait.timer);
      wait.done(false);
    }
    this.#passing.clear();
  }

  /** The partitions of `messages`. */
  get partitions(): number[] {
    return this.#next.map((_, partition) => partition);
  }

  /** The next offset of a partition that will be offered. */
  next(partition: number): number {
    return this.#next[partition]!;
  }

  /** Resolves with true when this offset of a partition was passed, with false after `timeoutMs`. */
  passed(partition: number, offset: number, timeoutMs: number): Promise<boolean> {
    if (this.#next[partition]! >= offset) return Promise.resolve(true);
    return new Promise((resolve) => {
      const wait: Wait = {
        partition,
        offset,
        done: resolve,
        timer: setTimeout(() => {
          this.#passing.delete(wait);
          resolve(false);
        }, timeoutMs),
      };
      this.#passing.add(wait);
    });
  }

  /**
   * Calls `heard` for each message of a topic that is offered, in the middle of a step: it notes the message and acts later. Returns a
   * function that ends this.
   */
  watch(topicId: string, heard: (message: Message) => void): () => void {
    let watchers = this.#watching.get(topicId);
    if (watchers === undefined) this.#watching.set(topicId, watchers = new Set());
    watchers.add(heard);
    return () => {
      watchers.delete(heard);
      if (watchers.size === 0 && this.#watching.get(topicId) === watchers) this.#watching.delete(topicId);
    };
  }

  /** The messages of a partition from an offset on that were offered; undefined if memory does not reach back so far. */
  recent(partition: number, from: number): readonly Message[] | undefined {
    return this.#ring.since(partition, from);
  }
  /** From this offset of a partition on, memory holds every message. */
  reachesTo(partition: number): number {
    return this.#ring.reachesTo(partition);
  }
  /** Whether memory holds a message of the topic at or after an offset. */
  has(partition: number, topicId: string, offset: number): boolean {
    return this.#ring.has(partition, topicId, offset);
  }

  async #offerBatch(batch: Batch, repeats: Repeats): Promise<void> {
    const { partition } = batch;
    if (batch.gap !== undefined) {
      this.#ring.skipTo(partition, batch.gap.to);
      this.#listener.skipped(partition, batch.gap);
    }
    let turn = performance.now();
    for (const record of batch.records) {
      const message = toMessage(record);
      const repeat = message.keyed ? repeats.has(record.offset) : this.#dependencies.recentIds.seen(message);
      let offered = 0;
      for (const _ of repeat ? [] : this.#offer(message)) {
        if (++offered % OFFERS_PER_CLOCK !== 0 || performance.now() - turn < TURN_MS) continue;
        // The tail stands before the message until all lanes have it. A lane that joins meanwhile has it from memory, and takes it once.
        turn = await this.#letOthersRun();
        if (this.#closed) return;
      }
      if (performance.now() - turn < TURN_MS) continue;
      // All lanes have everything up to here.
      this.#next[partition] = record.offset + 1;
      turn = await this.#letOthersRun();
      if (this.#closed) return;
    }
    this.#next[partition] = batch.next;
    for (const wait of this.#passing) {
      if (wait.partition !== partition || wait.offset > batch.next) continue;
      this.#passing.delete(wait);
      clearTimeout(wait.timer);
      wait.done(true);
    }
    this.#listener.stepped();
  }

  /** Attempts, answers and heartbeats go on in between. Returns the time at which the next turn begins. */
  async #letOthersRun(): Promise<number> {
    this.#listener.stepped();
    await nextTurn();
    return performance.now();
  }

  #offer(message: Message): Iterable<void> {
    this.#ring.add(message);
    const watchers = this.#watching.get(message.topicId);
    if (watchers !== undefined) { for (const heard of watchers) heard(message); }
    return this.#listener.offer(message);
  }
}
