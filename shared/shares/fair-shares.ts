// Places of a pool in fair shares, and those who wait for one (ARCHITECTURE §4 "Fair shares"). One mechanism for all pools: attempts,
// verifications, fetches, look-ups, introspections, streams, bodies, connections. Each step is synchronous.

import { Accounts, type Bounds, checkBounds, type Lack, type PairAccount, type Place, shareOf } from "./accounts.ts";
import { type Claim, type Standing, STANDINGS } from "./standing.ts";
import { WaitingLines } from "./waiting-lines.ts";

export interface FairSharesOptions<W> extends Bounds {
  /** The turn of a waiter has come, and the place is its own. False: it no longer wants it, or not now. Runs within `leave` and `wake`. */
  readonly onTurn?: (waiter: W, place: Place) => boolean;
  /** Turns are given by `wake` alone, not when a place is given back: in the middle of a step that may be too early. Default false. */
  readonly isWoken?: boolean;
  /** For a runtime that may drop a request without another word, as a Worker's does. Default: every place is given back. */
  readonly lost?: LostAfter | undefined;
}

/** A place that nobody has given back for so long was its request's that the runtime has dropped, and is free again. */
export interface LostAfter {
  /** Monotonic ms. */
  readonly now: () => number;
  readonly afterMs: number;
}

/** `afterMs`: Infinity where the runtime drops nothing. `now`: monotonic ms. */
export function lostAfter(afterMs: number, now: () => number): LostAfter | undefined {
  return afterMs === Infinity ? undefined : { now, afterMs };
}

/** A claim as the pool knows it while it waits. */
type Claimed = Pick<Place, "pair" | "standing">;

export class FairShares<W> {
  readonly #accounts: Accounts;
  readonly #onTurn: (waiter: W, place: Place) => boolean;
  readonly #lines: Readonly<Record<Standing, WaitingLines<W>>>;
  readonly #lowered = new Set<PairAccount>();
  /** Whether turns are being given: `onTurn` may give places back. */
  #isGiving = false;
  #waiting = 0;
  readonly #isWoken: boolean;
  readonly #lost: LostAfter | undefined;
  /** Where places may be lost: all that are taken, the oldest first, and since when. */
  readonly #taken = new Map<Place, number>();

  /** @throws {RangeError} if the shares add up to more places than there are */
  constructor(options: FairSharesOptions<W>) {
    checkBounds(options);
    // The bounds may change: they are read each time.
    const accounts = new Accounts(options);
    const { onTurn = () => false, isWoken = false, lost } = options;
    const linesOf = (standing: Standing) => new WaitingLines<W>(standing, accounts);
    this.#accounts = accounts;
    this.#onTurn = onTurn;
    this.#isWoken = isWoken;
    this.#lost = lost;
    this.#lines = {
      proven: linesOf("proven"),
      slow: linesOf("slow"),
      new: linesOf("new"),
      failing: linesOf("failing"),
    };
  }

  /** Places in use. */
  get used(): number {
    return this.#accounts.used;
  }
  /** Places in use of a standing, overtime not included. */
  usedBy(standing: Standing): number {
    return this.#accounts.usedBy(standing);
  }
  /** Places in use that count as overtime. */
  get overtime(): number {
    return STANDINGS.reduce((sum, standing) => sum + this.#accounts.usedBy(`${standing} overtime`), 0);
  }
  get waiting(): number {
    return this.#waiting;
  }
  /** Requesters and hosts that are remembered. */
  get remembered(): number {
    return this.#accounts.size;
  }

  /** Takes a place, or as many as `weight` says; undefined if the claim may not have them now. */
  tryEnter(claim: Claim, weight = 1): Place | undefined {
    this.#freeLost();
    const pair = this.#accounts.pairOf(claim);
    const { standing } = claim;
    if (this.#accounts.lackOf(pair, standing, weight) === undefined) return this.#take(pair, standing, weight);
    this.#accounts.forgetIfQuiet(pair);
    return undefined;
  }

  /**
   * Takes a place, or as many as `weight` says, whatever share of the free ones the claim may have: another has just lost as many to it.
   * Only where nobody waits.
   */
  enterAnyway(claim: Claim, weight = 1): Place {
    return this.#take(this.#accounts.pairOf(claim), claim.standing, weight);
  }

  /** What a claim lacks; undefined if `tryEnter` would succeed. */
  lackOf(claim: Claim, weight = 1): Lack | undefined {
    const pair = this.#accounts.pairOf(claim);
    const lack = this.#accounts.lackOf(pair, claim.standing, weight);
    this.#accounts.forgetIfQuiet(pair);
    return lack;
  }

  /**
   * Takes a place, or as many as `weight` says; undefined if the claim has to wait: then `onTurn` is called when its turn has come. A waiter
   * waits once at a time.
   */
  enter(claim: Claim, waiter: W, weight = 1): Place | undefined {
    const { standing } = claim;
    const pair = this.#accounts.pairOf(claim);
    if (this.#accounts.lackOf(pair, standing, weight) === undefined) return this.#take(pair, standing, weight);
    this.#lines[standing].add(pair, waiter, weight);
    this.#waiting++;
    return undefined;
  }

  /** A waiter no longer waits; `claim` as it entered. */
  forget({ requester, host, standing }: Claim, waiter: W): void {
    const pair = this.#accounts.knownPair(requester, host);
    const weight = pair === undefined ? undefined : this.#lines[standing].remove(pair, waiter);
    if (pair === undefined || weight === undefined) return;
    this.#waiting--;
    this.#accounts.forgetIfQuiet(pair);
    // Those behind one that wants several may find room for less.
    if (weight > 1 && !this.#isWoken) this.wake();
  }

  /** A place counts as so many more from now on; false, and nothing is changed, if there are fewer, or it was given back. */
  grow(place: Place, weight: number): boolean {
    this.#freeLost();
    if (place.weight === 0) return false;
    const { pair, standing, isOvertime } = place;
    const lack = isOvertime
      ? this.#accounts.lackOfOvertime(pair, standing, weight)
      : this.#accounts.lackOf(pair, standing, weight);
    if (lack !== undefined) return false;
    place.weight += weight;
    this.#accounts.take(pair, shareOf(place), weight);
    this.#changed(place);
    return true;
  }

  /** A place counts as so many from now on, 1 or more, whether there are as many or not. */
  resize(place: Place, weight: number): void {
    const more = weight - place.weight;
    if (place.weight === 0 || more === 0) return;
    place.weight = weight;
    this.#accounts.take(place.pair, shareOf(place), more);
    this.#changed(place);
    if (more < 0 && !this.#isWoken) this.wake();
  }

  /**
   * What has this place takes long: it counts as overtime of its standing, so that others may have the place. False, and nothing is
   * changed, if its requester or its host has its share of the overtime. Those who wait have their turn with `wake`.
   */
  turn(place: Place): boolean {
    const { pair, standing, weight, isOvertime } = place;
    if (isOvertime || weight === 0) return true;
    if (this.#accounts.lackOfOvertime(pair, standing, weight) !== undefined) return false;
    this.#accounts.give(pair, standing, weight);
    place.isOvertime = true;
    this.#accounts.take(pair, shareOf(place), weight);
    this.#changed(place);
    return true;
  }

  /** Gives a place back, once. Those whose turn it is get theirs. */
  leave(place: Place): void {
    const { pair, weight } = place;
    if (weight === 0) return;
    place.weight = 0;
    this.#taken.delete(place);
    this.#accounts.give(pair, shareOf(place), weight);
    this.#changed(place);
    this.#accounts.forgetIfQuiet(pair);
    if (!this.#isWoken) this.wake();
  }

  /** Gives all free places to those whose turn it is. `isOver`: the others have theirs with the next `wake`. */
  wake(isOver: () => boolean = () => false): void {
    if (this.#isGiving || this.#waiting === 0) return;
    this.#isGiving = true;
    try {
      for (const standing of STANDINGS) this.#serve(standing, isOver);
    } finally {
      this.#isGiving = false;
    }
  }

  /** The host asked this requester for a pause: half as many of its places may be in use, at least one; of `most` at first. */
  ease({ pair }: Pick<Place, "pair">, most: number): void {
    pair.limit = Math.max(1, Math.floor(Math.min(pair.limit, most) / 2));
    this.#lowered.add(pair);
  }

  /** The host answered this requester well: one more place may be in use, up to `most`, where there is no such limit any more. */
  trust({ pair }: Pick<Place, "pair">, most: number): void {
    if (pair.limit === Infinity) return;
    pair.limit = pair.limit + 1 >= most ? Infinity : pair.limit + 1;
    if (pair.limit === Infinity) this.#lowered.delete(pair);
    if (pair.lines > 0) this.#limitChanged(pair);
    this.#accounts.forgetIfQuiet(pair);
  }

  /** As `trust`, for all pairs that have nothing in use. */
  recover(most: number): void {
    for (const pair of this.#lowered) if (pair.usage.total === 0) this.trust({ pair }, most);
  }

  #serve(standing: Standing, isOver: () => boolean): void {
    const lines = this.#lines[standing];
    for (let next = lines.next(); next !== undefined; next = isOver() ? undefined : lines.next()) {
      this.#waiting--;
      const place = this.#take(next.pair, standing, next.weight);
      if (this.#onTurn(next.waiter, place)) continue;
      // Who does not want it may have given it back already.
      if (place.weight === 0) continue;
      place.weight = 0;
      this.#taken.delete(place);
      this.#accounts.give(next.pair, standing, next.weight);
      this.#changed(place);
      this.#accounts.forgetIfQuiet(next.pair);
    }
  }

  #take(pair: PairAccount, standing: Standing, weight: number): Place {
    this.#accounts.take(pair, standing, weight);
    const place = { pair, standing, isOvertime: false, weight };
    if (this.#lost !== undefined) this.#taken.set(place, this.#lost.now());
    this.#changed(place);
    return place;
  }

  /** Gives back the places of requests that the runtime has dropped. */
  #freeLost(): void {
    if (this.#lost === undefined) return;
    const { now, afterMs } = this.#lost;
    const time = now();
    for (const [place, at] of this.#taken) {
      if (time - at < afterMs) return;
      this.leave(place);
    }
  }

  #changed({ pair, standing }: Claimed): void {
    // A limit is of all standings together.
    if (pair.limit === Infinity) this.#lines[standing].changed(pair);
    else this.#limitChanged(pair);
  }

  #limitChanged(pair: PairAccount): void {
    for (const standing of STANDINGS) this.#lines[standing].changed(pair);
  }
}
