// Brings a shard's `events` to the fold, in order and in slices; a deregister takes several (A3.9). The shard's record says how far
// it is.
import { getLogger } from "@logtape/logtape";
import { TURN_MS } from "../../shared/turn.ts";
import type { LogRecord } from "../log/log.ts";
import { decodeEvent, type DeregisterEvent, type HubEvent } from "../state/events.ts";
import { topicIdOf } from "../state/ids.ts";
import { hasOperation, withOperation } from "../state/recent-operations.ts";
import type { RecentOperations } from "../state/records.ts";
import type { FoldedState } from "./folded-state.ts";
import { MOST_ENDED, type ShardFold } from "./shard-fold.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

export interface EventFolderOptions {
  readonly shard: number;
  /** The next `events` offset to fold. */
  readonly events: number;
  /** Deregisters that were folded lately. */
  readonly operations: RecentOperations;
  readonly state: Pick<FoldedState, "subscriptions">;
  readonly fold: ShardFold;
}

/** A deregister under way, and the subscriptions that it has not ended yet. */
interface Deregistering {
  readonly event: DeregisterEvent;
  readonly offset: number;
  readonly left: string[];
}

/** Events in one slice. */
const MOST_FOLDED = 1_000;
/** A shard remembers the deregisters of all its topics, not of one. */
const MOST_DEREGISTERS = 1_024;

export class EventFolder {
  readonly #options: EventFolderOptions;
  #events: number;
  #operations: RecentOperations;
  #inbox: LogRecord[] = [];
  #inboxNext: number;
  #deregistering: Deregistering | undefined;
  #setAside = 0;

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
    return this.#inbox.length > 0 || this.#deregistering !== undefined;
  }
  /** Events that could not be applied: set aside, counted and shown. */
  get setAside(): number {
    return this.#setAside;
  }

  /** Takes events in order, up to `next`. Returns whether there is room for more. */
  receive(records: readonly LogRecord[], next: number): boolean {
    this.#inbox.push(...records);
    this.#inboxNext = next;
    return this.#inbox.length <= MOST_FOLDED * 4;
  }

  /** Folds one slice, in one synchronous step that began at `turn`, ms of the monotonic clock. */
  foldSlice(turn: number): void {
    this.#continueDeregister();
    let folded = 0;
    while (folded < this.#inbox.length && folded < MOST_FOLDED && this.#deregistering === undefined) {
      this.#foldRecord(this.#inbox[folded++]!);
      if ((folded & 63) === 0 && performance.now() - turn > TURN_MS) break;
    }
    this.#inbox.splice(0, folded);
    // After the last event the partition may have offsets without an event (control records).
    if (!this.isBehind) this.#events = this.#inboxNext;
  }

  #foldRecord({ offset, value }: LogRecord): void {
    // The event was read a second time: what came of it may be forgotten already, and must not come back.
    if (offset < this.#events) return;
    let event: HubEvent;
    try {
      event = decodeEvent(value);
    } catch (error) {
      // Such an event never stops the loop (§6.6).
      this.#setAside++;
      logger.error("An event cannot be applied and is set aside: shard {shard} offset {offset}: {error}", {
        shard: this.#options.shard,
        offset,
        error,
      });
      this.#events = offset + 1;
      return;
    }
    if (event.type === "deregister") return this.#beginDeregister(event, offset);
    this.#options.fold.event(event, offset);
    this.#events = offset + 1;
  }

  #beginDeregister(event: DeregisterEvent, offset: number): void {
    if (hasOperation(this.#operations, event.id)) {
      this.#events = offset + 1;
      return;
    }
    const left = [...this.#options.state.subscriptions.to(topicIdOf(event.topic))];
    this.#deregistering = { event, offset, left };
    this.#continueDeregister();
  }

  /** The position moves past the deregister when the last of its subscriptions has ended (A3.9). */
  #continueDeregister(): void {
    if (this.#deregistering === undefined) return;
    const { fold } = this.#options;
    const { event, offset, left } = this.#deregistering;
    for (const id of left.splice(0, MOST_ENDED)) fold.endDeregistered(id, event, offset);
    if (left.length > 0) return;
    fold.event(event, offset);
    this.#operations = withOperation(this.#operations, event.id, event.time, MOST_DEREGISTERS);
    this.#deregistering = undefined;
    this.#events = offset + 1;
  }
}
