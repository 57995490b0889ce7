// A shard's subscriptions and their lanes: what changes a record changes its lane in the same step, and what a lane finds out
// is folded into the record (A3.5).
import type { Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/lane/lane.ts";
import type { Message } from "../messages/message.ts";
import type { Outcome } from "../delivery/lane/outcome.ts";
import type { Quiet } from "../delivery/reading/reading.ts";
import type { ShardRecord } from "../log/log.ts";
import { nextTurn } from "../../shared/turn.ts";
import { ended, isLive } from "../state/fold-subscription.ts";
import type { LaneBook } from "./lane-book.ts";
import type { Owed } from "./owed-effects.ts";
import type { SubscriptionRecord } from "../state/records.ts";
import type { ShardRecords } from "./folded-state.ts";

export interface ShardLanesOptions {
  readonly kept: ShardRecords;
  readonly book: LaneBook;
  readonly owed: Owed;
  /** Writes with the next batch. */
  readonly put: (...records: ShardRecord[]) => void;
  /** Runs what was found out in the next step of the shard's loop. */
  readonly find: (finding: () => void) => void;
  /** The shard was released or dropped, or is being. */
  readonly isOver: () => boolean;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Subscriptions that end in one transaction at most. */
export const MOST_ENDED = 1_000;
/** While lanes join, the event loop has its turn after so long: heartbeats go on (ARCHITECTURE §4). */
const TURN_MS = 20;

export class ShardLanes {
  readonly #options: ShardLanesOptions;
  #delivery: Delivery | undefined;
  /** Subscriptions whose lanes open after the next commit. */
  readonly #opening = new Set<string>();
  /** Topics and subscriptions whose time may have come: after a long absence there may be many, and they end in slices. */
  #due: string[] = [];
  readonly #overdue = new Set<string>();

  constructor(options: ShardLanesOptions) {
    this.#options = options;
  }

  /** Lanes may run, and those of the subscriptions there are join the tail as a group, in turns. */
  async join(delivery: Delivery, quiet: Quiet | undefined): Promise<void> {
    const { kept, book, owed, isOver } = this.#options;
    this.#delivery = delivery;
    book.attach(delivery);
    let turn = performance.now();
    const ids = [...kept.subscriptions.keys()];
    for (const id of ids) {
      const record = kept.subscriptions.get(id);
      // One that began meanwhile opens when it is committed, as always.
      if (record === undefined || this.#opening.has(id)) continue;
      if (record.phase === "active" && book.lane(id) === undefined) book.open(id, record, quiet);
      owed.subscription(id, record);
      kept.watch(id, record);
      if (performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      if (isOver()) return;
      turn = performance.now();
    }
  }

  /** The subscription is now this: its lane follows in the same step, except that a new one waits for the commit. */
  set(id: string, record: SubscriptionRecord): void {
    const { kept, book, owed, put } = this.#options;
    const before = kept.subscriptions.get(id);
    kept.setSubscription(id, record);
    owed.subscription(id, record);
    const lane = book.lane(id);
    if (record.phase === "active") {
      if (lane !== undefined && lane.life === record.life && lane.state !== "expired") {
        // Nothing is sent under the old secret from here on (§6.5).
        if (before?.verified !== record.verified) book.renew(lane, record);
        return;
      }
      // Only a life that begins here: one that goes on has its record, or is done up to the watermark (A4.3).
      if (before?.life !== record.life) put(...book.begin(id, record.life, record.start));
      if (this.#delivery !== undefined) this.#open(id);
    } else if (record.phase === "expired") put(...book.expire(id));
    else if (record.phase !== "pending") put(...book.end(id));
  }

  #open(id: string): void {
    const { kept, book, owed } = this.#options;
    this.#opening.add(id);
    owed.push(() => {
      this.#opening.delete(id);
      const current = kept.subscriptions.get(id);
      const running = book.lane(id);
      if (current?.phase !== "active") return;
      if (running?.life !== current.life || running.state === "expired") book.open(id, current);
    });
  }

  /** One attempt beside a subscription's lane of this life; undefined if none may start now. */
  beside(id: string, life: number, message: Message): Promise<Outcome> | undefined {
    const lane = this.#options.book.lane(id);
    if (lane === undefined || lane.life !== life || lane.state === "expired" || lane.state === "ended") {
      return undefined;
    }
    return this.#delivery?.replay(lane, message);
  }

  gone(lane: Lane): void {
    const { kept, find, clock } = this.#options;
    // What stands before it was delivered, or answered 410.
    const stoodAt = lane.position(lane.readFrom);
    find(() => {
      const record = kept.subscriptions.get(lane.id);
      if (record === undefined || !isLive(record.phase) || record.life !== lane.life) return;
      // What waits to be verified stays: its subscriber may have said yes after the 410. Like after an unsubscribe, the new
      // life has nothing of what this one had (§6.2).
      const { pending, unsubscribedAt = 0 } = record;
      const gone = ended(record, "gone", clock(), record.version);
      this.set(lane.id, { ...gone, pending, unsubscribedAt: Math.max(unsubscribedAt, stoodAt) });
    });
  }

  leaseOver(lane: Lane): void {
    // Said at every message until it is folded, which may take long (a full disk).
    if (this.#overdue.has(lane.id)) return;
    this.#overdue.add(lane.id);
    this.#due.push(lane.id);
  }

  /** Notes whose time may have come. Returns whether there are any. */
  collectDue(): boolean {
    this.#due = this.#due.concat(this.#options.kept.due());
    return this.hasDue;
  }
  get hasDue(): boolean {
    return this.#due.length > 0;
  }
  /** Looks at some of them. */
  examineDue(): void {
    for (const key of this.#due.splice(0, MOST_ENDED)) this.#examine(key);
  }

  /** Looks at a subscription or a topic whose time may have come. */
  #examine(key: string): void {
    const { kept, book, owed, put, clock } = this.#options;
    this.#overdue.delete(key);
    kept.forgetTopic(key);
    const record = kept.subscriptions.get(key);
    if (record === undefined) return kept.watch(key);
    if (record.phase === "active" && record.expiresAt <= clock()) {
      // §5.3.1: the lease is over. The position is kept for a renewal.
      this.set(key, { ...record, phase: "expired", endedAt: record.expiresAt });
      return;
    }
    if (kept.forgetSubscription(key)) return put(...book.end(key));
    owed.subscription(key, record);
    kept.watch(key);
  }
}
