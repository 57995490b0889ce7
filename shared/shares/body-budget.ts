// Bounds the bytes of request bodies that are held at once, in fair shares: configuration bounds memory, not the number of peers that
// send (ARCHITECTURE §6.7). What counts is what has come, and not what was announced. Where there is no room, who has most loses the
// oldest body that still comes to who has less: so many requesters that let their bodies stand still keep nobody's out.

import type { BodyRoom } from "../request-body.ts";
import type { Place } from "./accounts.ts";
import { FairShares, type LostAfter } from "./fair-shares.ts";
import type { Claim } from "./standing.ts";

export interface BodyBudgetOptions {
  /** Bytes of all bodies, beyond the first `uncountedBytes` of each. */
  readonly most: number;
  readonly uncountedBytes: number;
  /** Where it is set, no body loses its room to another: a Worker's request cannot end what another one waits for. */
  readonly lost?: LostAfter | undefined;
}

export interface HeldRoom extends BodyRoom {
  /** The body has come, and keeps its room until that is released. */
  settle(): void;
  /** Gives the room back; what still comes of the body then has none. Idempotent. */
  release(): void;
}

export interface BodyBudget {
  /** Room for one body, whose claim is asked for if it counts. */
  open(claim: () => Claim): HeldRoom;
}

export function createBodyBudget(options: BodyBudgetOptions): BodyBudget {
  const rooms = new Rooms(options);
  return { open: (claim) => new Room(rooms, claim, options.uncountedBytes) };
}

/** What one requester holds. */
interface Party {
  bytes: number;
  /** Its bodies that still come, the oldest first. */
  readonly arriving: Set<Room>;
}

/** All rooms that count. */
class Rooms {
  readonly #most: number;
  readonly #shares: FairShares<never>;
  readonly #mayLose: boolean;
  readonly #parties = new Map<string, Party>();

  constructor({ most, lost }: BodyBudgetOptions) {
    this.#most = most;
    this.#mayLose = lost === undefined;
    this.#shares = new FairShares({ most, of: { proven: 0, slow: 0, new: most, failing: 0 }, lost });
  }

  /** Takes so many bytes more for a room; undefined if there are none for it. */
  take(room: Room, place: Place | undefined, claim: Claim, bytes: number): Place | undefined {
    const grown = this.#grow(place, claim, bytes) ?? this.#takeFromMost(place, claim, bytes);
    if (grown === undefined) return undefined;
    const party = this.#parties.get(claim.requester) ?? { bytes: 0, arriving: new Set() };
    this.#parties.set(claim.requester, party);
    party.bytes += bytes;
    party.arriving.add(room);
    return grown;
  }

  settle(room: Room, { requester }: Claim): void {
    this.#parties.get(requester)?.arriving.delete(room);
  }

  leave(room: Room, place: Place, { requester }: Claim, bytes: number): void {
    this.#shares.leave(place);
    const party = this.#parties.get(requester);
    if (party === undefined) return;
    party.arriving.delete(room);
    party.bytes -= bytes;
    if (party.bytes === 0) this.#parties.delete(requester);
  }

  #grow(place: Place | undefined, claim: Claim, bytes: number): Place | undefined {
    if (place === undefined) return this.#shares.tryEnter(claim, bytes);
    return this.#shares.grow(place, bytes) ? place : undefined;
  }

  #takeFromMost(place: Place | undefined, claim: Claim, bytes: number): Place | undefined {
    if (!this.#mayLose) return undefined;
    const least = (this.#parties.get(claim.requester)?.bytes ?? 0) + bytes;
    do {
      const oldest = this.#oldestOfMost(least);
      if (oldest === undefined) return undefined;
      oldest.lose();
    } while (this.#most - this.#shares.used < bytes);
    // Whoever has little may have it, however little is free.
    if (place === undefined) return this.#shares.enterAnyway(claim, bytes);
    this.#shares.resize(place, place.weight + bytes);
    return place;
  }

  /** The oldest body that still comes of who has most, if that is more than `least`. */
  #oldestOfMost(least: number): Room | undefined {
    let most: Party | undefined;
    for (const party of this.#parties.values()) {
      if (party.arriving.size > 0 && party.bytes > (most?.bytes ?? least)) most = party;
    }
    return most?.arriving.values().next().value;
  }
}

class Room implements HeldRoom {
  readonly #rooms: Rooms;
  readonly #claim: () => Claim;
  readonly #uncountedBytes: number;
  #claimed: Claim | undefined;
  #place: Place | undefined;
  #size = 0;
  /** What the rooms count of it. */
  #counted = 0;
  #isReleased = false;
  #onLost: (() => void) | undefined;

  constructor(rooms: Rooms, claim: () => Claim, uncountedBytes: number) {
    this.#rooms = rooms;
    this.#claim = claim;
    this.#uncountedBytes = uncountedBytes;
  }

  take(bytes: number): boolean {
    if (this.#isReleased) return false;
    const more = Math.max(0, this.#size + bytes - this.#uncountedBytes) - this.#counted;
    if (more > 0) {
      const place = this.#rooms.take(this, this.#place, this.#claimed ??= this.#claim(), more);
      if (place === undefined) return false;
      this.#place = place;
      this.#counted += more;
    }
    this.#size += bytes;
    return true;
  }

  onLost(callback: () => void): void {
    this.#onLost = callback;
  }

  settle(): void {
    if (this.#claimed !== undefined) this.#rooms.settle(this, this.#claimed);
  }

  /** Its room is another's now. */
  lose(): void {
    this.release();
    this.#onLost?.();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#place !== undefined) this.#rooms.leave(this, this.#place, this.#claimed!, this.#counted);
  }
}
