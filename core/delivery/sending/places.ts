// The places of attempts in flight (ARCHITECTURE §4 "Isolation"): fair shares by the lane's standing, who subscribed, and the callback's
// host. One requester's callbacks that hang, fail or are new are not felt by others, nor by its own that are well.
import type { Place } from "../../../shared/shares/accounts.ts";
import { FairShares } from "../../../shared/shares/fair-shares.ts";
import { type Claim, type Standing, STANDINGS } from "../../../shared/shares/standing.ts";
import { TURN_MS } from "../../../shared/turn.ts";
import type { Lane } from "../lane/lane.ts";

/** Attempts in flight. */
export const MOST_IN_FLIGHT = 5_120;
/** Attempts by the standing of their lanes. */
export const IN_FLIGHT: Readonly<Record<Standing, number>> = { proven: 1_024, slow: 256, new: 256, failing: 256 };
/** Of these to one host, for all its subscribers together. */
export const PER_HOST: Readonly<Record<Standing, number>> = { proven: 512, slow: 128, new: 128, failing: 128 };
/** Attempts that began as those of proven or new lanes, and take longer than SLOW_MS. */
export const OVERTIME = { proven: 2_560, new: 768 } as const;
/** If a host asked a requester for pauses, each success allows one more attempt, until there are so many; then it has its share again. */
const TRUSTED_FULLY = 256;

export class Places {
  readonly #shares: FairShares<Lane>;
  /** The lanes that wait for a place, and as what. */
  readonly #waiting = new Map<Lane, Claim>();

  /** `onTurn`: a lane that waited may have this place; false: it does not take it. */
  constructor(onTurn: (lane: Lane, place: Place) => boolean) {
    this.#shares = new FairShares<Lane>({
      most: MOST_IN_FLIGHT,
      of: IN_FLIGHT,
      perHost: PER_HOST,
      overtime: OVERTIME,
      forNewcomers: 1 / 8,
      isWoken: true,
      onTurn: (lane, place) => {
        this.#waiting.delete(lane);
        return onTurn(lane, place);
      },
    });
  }

  get inFlight(): number {
    return this.#shares.used;
  }
  get waiting(): number {
    return this.#shares.waiting;
  }

  /** Attempts in flight by standing, and those that take long. */
  counts(): readonly (readonly [standing: Standing | "overtime", count: number])[] {
    return [
      ...STANDINGS.map((standing) => [standing, this.#shares.usedBy(standing)] as const),
      ["overtime", this.#shares.overtime],
    ];
  }

  /** Takes a place for one attempt; undefined: the lane waits for its turn. */
  enter(lane: Lane): Place | undefined {
    const claim = claimOf(lane, lane.standing);
    const place = this.#shares.enter(claim, lane);
    if (place === undefined) this.#waiting.set(lane, claim);
    return place;
  }

  /** Takes a place for an attempt beside the lane, if there is one now: none of those of lanes that are well. */
  enterBeside(lane: Lane): Place | undefined {
    return this.#shares.tryEnter(claimOf(lane, lane.standing === "proven" ? "slow" : lane.standing));
  }

  /** Gives a place back, once. One of each standing may have its turn; the others have theirs with the next tick. */
  leave(place: Place): void {
    this.#shares.leave(place);
    // Many answers may come at once, and each of them gets here.
    this.#shares.wake(() => true);
  }

  /** The lane no longer waits; false if it did not. */
  forget(lane: Lane): boolean {
    const claim = this.#waiting.get(lane);
    if (claim === undefined) return false;
    this.#waiting.delete(lane);
    this.#shares.forget(claim, lane);
    return true;
  }

  /** An attempt takes long: it counts as overtime from now on. False: there is none for it, it keeps its place; ask again. */
  turn(place: Place): boolean {
    return this.#shares.turn(place);
  }

  /** The host answered with success: one more attempt of this requester may be in flight to it, if it had asked for a pause. */
  trust(place: Place): void {
    this.#shares.trust(place, TRUSTED_FULLY);
  }
  /** The host asked for a pause: half as many attempts of this requester may be in flight to it. */
  ease(place: Place): void {
    this.#shares.ease(place, TRUSTED_FULLY);
  }

  /** Gives free places to those whose turn it is. A host that is no longer called regains all places within seconds. */
  tick(): void {
    this.#shares.recover(TRUSTED_FULLY);
    // Hundreds of places may be free at once, and an attempt that begins may open a connection.
    const begun = performance.now();
    this.#shares.wake(() => performance.now() - begun > TURN_MS);
  }
}

function claimOf({ target: { requester, host } }: Lane, standing: Standing): Claim {
  return { requester, host, standing };
}
