// Folds a shard's `events`, in order and in slices, into its records; their lanes follow. How far it is, the shard's record says.
import { getLogger } from "@logtape/logtape";
import { subscriptionIdOf, topicIdOf } from "../state/ids.ts";
import type { LogRecord, ShardRecord } from "../log/log.ts";
import { decodeEvent, type DeregisterEvent, type HubEvent } from "../state/events.ts";
import { foldDeregistered, foldSubscription, isLive } from "../state/fold-subscription.ts";
import { foldTopic } from "../state/fold-topic.ts";
import type { LaneBook } from "./lane-book.ts";
import { hasOperation, withOperation } from "../state/recent-operations.ts";
import type { Owed } from "./owed-effects.ts";
import type { RecentOperations } from "../state/records.ts";
import { MOST_ENDED, type ShardLanes } from "./shard-fold.ts";
import type { ShardRecords } from "./folded-state.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

export interface EventFolderOptions {
  readonly number: number;
  /** The next `events` offset to fold, and the deregisters that were folded lately. */
  readonly events: number;
  readonly operations: RecentOperations;
  readonly kept: ShardRecords;
  readonly book: LaneBook;
  readonly owed: Owed;
  readonly lanes: ShardLanes;
  /** Writes with the next batch. */
  readonly put: (...records: ShardRecord[]) => void;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

const MOST_FOLDED = 1_000;
const MOST_FOLDING_MS = 20;
/** A shard remembers the deregisters of all its topics, not of one. */
const MOST_DEREGISTERS = 1_024;

export class EventFolder {
  readonly #options: EventFolderOptions;
  #events: number;
  #operations: RecentOperations;
  #inbox: LogRecord[] = [];
  #inboxNext: number;
  #deregister: { event: DeregisterEvent; record: LogRecord; left: string[] } | undefined;
  /** Events that could not be applied: set aside, counted and shown. */
  setAside = 0;

  constructor(options: EventFolderOptions) {
    this.#options = options;
    this.#events = this.#inboxNext = options.events;
    this.#operations = options.operations;
  }

  /** The next `events` offset to fold. */
  get events(): number {
    return this.#events;
  }
  /** Deregisters that were folded lately. */
  get operations(): RecentOperations {
    return this.#operations;
  }
  /** Something is left to fold. */
  get isBehind(): boolean {
    return this.#inbox.length > 0 || this.#deregister !== undefined;
  }

  /** Events in order, up to `next`. Returns whether there is room for more. */
  receive(records: readonly LogRecord[], next: number): boolean {
    this.#inbox.push(...records);
    this.#inboxNext = next;
    return this.#inbox.length <= MOST_FOLDED * 4;
  }

  /** One slice of what is there, in one synchronous step that began at `begun`. */
  fold(begun: number): void {
    this.#continueDeregister();
    let folded = 0;
    while (folded < this.#inbox.length && folded < MOST_FOLDED && this.#deregister === undefined) {
      this.#fold(this.#inbox[folded++]!);
      if ((folded & 63) === 0 && this.#options.clock() - begun > MOST_FOLDING_MS) break;
    }
    this.#inbox.splice(0, folded);
    // Beyond the last event there may be records that are none (compacted away, control records).
    if (!this.isBehind) this.#events = this.#inboxNext;
  }

  #fold(record: LogRecord): void {
    // Read a second time: what came of it may be forgotten already, and must not come back.
    if (record.offset < this.#events) return;
    let event: HubEvent;
    try {
      event = decodeEvent(record.value);
    } catch (error) {
      // Never stops the loop (§6.6).
      this.setAside++;
      logger.error("An event cannot be applied and is set aside: shard {shard} offset {offset}: {error}", {
        shard: this.#options.number,
        offset: record.offset,
        error,
      });
      this.#events = record.offset + 1;
      return;
    }
    this.#apply(event, record);
    // That of a deregister moves past it when the last of its subscriptions has ended (A3.9).
    if (this.#deregister === undefined) this.#events = record.offset + 1;
  }

  #apply(event: HubEvent, record: LogRecord): void {
    const { kept, book, lanes, put } = this.#options;
    switch (event.type) {
      case "intent":
      case "result":
      case "replay":
      case "revoke":
      case "resume": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = kept.subscriptions.get(id);
        const after = foldSubscription(before, event, record.offset);
        if (after === before || after === undefined) return;
        lanes.set(id, after);
        if (event.type === "resume") put(...book.rewind(id, after, event.from));
        return;
      }
      case "ack": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const subscription = kept.subscriptions.get(id);
        // A second copy finds the position there already.
        if (subscription === undefined || !isLive(subscription.phase)) return;
        return put(...book.advance(id, subscription, event.next));
      }
      case "deregister":
        return this.#foldDeregister(event, record);
      case "register":
      case "ping":
        return this.#foldTopic(event, record);
    }
  }

  #foldTopic(event: HubEvent & { type: "register" | "ping" | "deregister" }, record: LogRecord): void {
    const { kept, owed } = this.#options;
    const id = topicIdOf(event.topic);
    const before = kept.topics.get(id);
    const after = foldTopic(before, event, record.offset);
    if (after === before || after === undefined) return;
    kept.setTopic(id, after);
    owed.topic(id, after);
  }

  #foldDeregister(event: DeregisterEvent, record: LogRecord): void {
    if (hasOperation(this.#operations, event.id)) return;
    const left = [...this.#options.kept.subscriptions.to(topicIdOf(event.topic))];
    this.#deregister = { event, record, left };
    this.#continueDeregister();
  }

  #continueDeregister(): void {
    if (this.#deregister === undefined) return;
    const { kept, lanes } = this.#options;
    const { event, record, left } = this.#deregister;
    for (const id of left.splice(0, MOST_ENDED)) {
      const before = kept.subscriptions.get(id);
      if (before === undefined) continue;
      const after = foldDeregistered(before, `topic "${event.topic}" was deregistered`, event.time, record.offset);
      if (after !== before) lanes.set(id, after);
    }
    if (left.length > 0) return;
    this.#foldTopic(event, record);
    this.#operations = withOperation(this.#operations, event.id, event.time, MOST_DEREGISTERS);
    this.#deregister = undefined;
    this.#events = record.offset + 1;
  }
}
