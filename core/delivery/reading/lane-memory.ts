// May this lane read on? What lanes hold is bounded (§6.7): each lane by its state and the length of its queue, all together by bytes.
// The bytes are shared by requester (ARCHITECTURE §4 "Fair shares"). Lanes that find no share of the memory free wait here, and lanes of
// whoever has most of it let go of what they have held for longest.
import { FairShares } from "../../../shared/shares/fair-shares.ts";
import type { Claim } from "../../../shared/shares/standing.ts";
import { TURN_MS } from "../../../shared/turn.ts";
import type { Lane } from "../lane/lane.ts";
import { type Message, sizeOf } from "../../messages/message.ts";

export interface LaneMemoryOptions {
  /** The most bytes that all lanes hold together. */
  readonly most: number;
  /** The offset that the tail offers next in a partition. */
  readonly tailNext: (partition: number) => number;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** A lane that waited for memory may read on. */
  readonly onTurn: (lane: Lane) => void;
}

/** The most messages in a lane's queue. */
const MOST_QUEUED = 1_024;
/** A lane with fewer messages in its queue reads on. */
const REFILL_BELOW = 64;
/** A requester's lanes let go until it may take this part of the bound once more. */
const ENOUGH_FREED = 1 / 8;
/** Lanes that are looked at when others wait for memory, at each tick. */
const LOOKED_AT_ONCE = 1_024;

export class LaneMemory {
  readonly #options: LaneMemoryOptions;
  /** Lanes that hold messages which are not in flight; those that have held some for longest come first. */
  readonly #holding = new Set<Lane>();
  /** Lanes that want to read and wait for memory, and as whose. */
  readonly #starved = new Map<Lane, Claim>();
  readonly #shares: FairShares<Lane>;

  constructor(options: LaneMemoryOptions) {
    this.#options = options;
    const { most, onTurn } = options;
    this.#shares = new FairShares<Lane>({
      most,
      of: { proven: most, slow: 0, new: 0, failing: 0 },
      // One alone has two thirds.
      timesFree: 3,
      forNewcomers: 1 / 8,
      isWoken: true,
      onTurn: (lane, place) => {
        // It takes what it reads.
        this.#shares.leave(place);
        this.#starved.delete(lane);
        onTurn(lane);
        return false;
      },
    });
  }

  get bytes(): number {
    return this.#shares.used;
  }

  /** Whether the lane has so little in its queue that it is to read on. */
  isLow(lane: Lane): boolean {
    return lane.backlog.queued < REFILL_BELOW;
  }

  /** Whether a lane that is behind may read on, if there is memory. */
  mayRead(lane: Lane): boolean {
    switch (lane.state) {
      case "ended":
      case "expired":
        return false;
      case "backingOff":
        // A lane that backs off would only hold what it reads.
        return false;
      case "parked":
        // A parked lane holds only the message that it is probed with.
        return !lane.busy && lane.health.notBefore <= this.#options.clock();
      default:
        return lane.backlog.queued < MOST_QUEUED;
    }
  }

  /** Whether a lane that is behind may receive one more message now. */
  mayReceive(lane: Lane): boolean {
    return this.mayRead(lane) && this.#hasRoom(lane);
  }

  /** Whether a lane on the tail may receive this message. A message that another lane holds takes no more memory. */
  mayBeOffered(lane: Lane, message: Message): boolean {
    return lane.backlog.queued < MOST_QUEUED && (message.holders > 0 || this.#hasRoom(lane));
  }

  /** Gives the lane a message that was read or offered; it may have it already. */
  give(lane: Lane, message: Message): void {
    if (!lane.receive(message)) return;
    if (message.holders++ === 0) {
      message.held = this.#shares.tryEnter(claimOf(lane));
      if (message.held !== undefined) this.#shares.resize(message.held, sizeOf(message));
    }
    this.#holding.add(lane);
  }

  /** A lane no longer holds this message. */
  release(message: Message): void {
    if (--message.holders > 0 || message.held === undefined) return;
    this.#shares.leave(message.held);
    message.held = undefined;
  }

  /** A message in flight is held again: it is to be sent again. */
  keeps(lane: Lane): void {
    this.#holding.add(lane);
  }

  /** The lane let go of something: it no longer counts if only what is in flight is left. */
  settle(lane: Lane): void {
    if (!lane.backlog.hasNext) this.#holding.delete(lane);
  }

  /** The lane has let go of these messages. */
  free(lane: Lane, messages: readonly Message[]): void {
    for (const message of messages) this.release(message);
    this.settle(lane);
  }

  /** The lane lets go of everything that is not in flight; it is read again from the log. */
  drop(lane: Lane): void {
    this.free(lane, lane.drop(this.#options.tailNext(lane.partition)));
  }

  /** Whether the lane may read on now; if not, it waits for its turn. */
  admit(lane: Lane): boolean {
    if (this.#starved.has(lane)) return false;
    const claim = claimOf(lane);
    const place = this.#shares.enter(claim, lane);
    if (place === undefined) this.#starved.set(lane, claim);
    else this.#shares.leave(place);
    return place !== undefined;
  }
  /** The lane no longer waits. */
  forget(lane: Lane): void {
    const claim = this.#starved.get(lane);
    if (claim === undefined) return;
    this.#starved.delete(lane);
    this.#shares.forget(claim, lane);
  }
  /** Lanes that wait have their turn, as far as there is memory; those that are left have it with the next call. */
  wake(): void {
    const begun = performance.now();
    // A place is free again as soon as its lane reads, so a little memory lets any number of lanes go.
    this.#shares.wake(() => performance.now() - begun > TURN_MS);
  }

  /** While lanes wait, those that have held some for longest let go of it, where their requester has its share. Returns them. */
  reclaim(): Lane[] {
    const dropped: Lane[] = [];
    if (this.#starved.size === 0) return dropped;
    const enough = Math.ceil(this.#options.most * ENOUGH_FREED);
    let left = Math.min(this.#holding.size, LOOKED_AT_ONCE);
    for (const lane of this.#holding) {
      if (left-- === 0) break;
      if (this.#shares.lackOf(claimOf(lane), enough) === undefined) {
        // It comes last: the lanes behind it are looked at the next time.
        this.#holding.delete(lane);
        this.#holding.add(lane);
        continue;
      }
      this.drop(lane);
      dropped.push(lane);
    }
    return dropped;
  }

  #hasRoom(lane: Lane): boolean {
    return this.#shares.lackOf(claimOf(lane)) === undefined;
  }
}

function claimOf({ target: { requester } }: Lane): Claim {
  return { requester, host: "", standing: "proven" };
}
