// The shares against a slow model of the same rules, by random steps: whatever comes in which order, no place is lost, no bound is passed,
// and nobody waits who may go.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Bounds, Place } from "../../../shared/shares/accounts.ts";
import { FairShares } from "../../../shared/shares/fair-shares.ts";
import { type Claim, type Standing, STANDINGS } from "../../../shared/shares/standing.ts";
import { Random } from "../../support/load/random.ts";

interface Held {
  readonly claim: Claim;
  readonly place: Place;
  isOvertime: boolean;
}

/** The rules, told anew each time from all that is held. */
class Model {
  readonly bounds: Bounds;
  readonly held = new Set<Held>();
  readonly waiting = new Map<number, Claim>();
  readonly limits = new Map<string, number>();

  constructor(bounds: Bounds) {
    this.bounds = bounds;
  }

  count(is: (held: Held) => boolean): number {
    let sum = 0;
    for (const held of this.held) if (is(held)) sum += held.place.weight;
    return sum;
  }

  mayEnter({ requester, host, standing }: Claim): boolean {
    if (!this.#mayHave({ requester, host, standing }, false, this.bounds.of[standing])) return false;
    const total = this.count(({ claim }) => claim.requester === requester && claim.host === host);
    if (total > 0 && total + 1 > (this.limits.get(`${requester} ${host}`) ?? Infinity)) return false;
    const { perHost } = this.bounds;
    if (perHost === undefined) return true;
    const ofHost = this.count(({ claim, isOvertime }) =>
      !isOvertime && claim.host === host && claim.standing === standing
    );
    const free = perHost[standing] - ofHost;
    const own = this.#own({ requester, host, standing }, false);
    return free >= 1 && (own === 0 || own + 1 <= free);
  }

  mayTurn(claim: Claim): boolean {
    const bound = this.bounds.overtime?.[claim.standing] ?? 0;
    if (!this.#mayHave(claim, true, bound)) return false;
    const is = ({ isOvertime, claim: { standing } }: Held) => isOvertime && standing === claim.standing;
    const ofHost = this.count((held) => is(held) && held.claim.host === claim.host);
    return ofHost === 0 || ofHost + 1 <= bound - this.count(is);
  }

  #own(wanted: Claim, overtime: boolean): number {
    return this.count(({ claim, isOvertime }) =>
      isOvertime === overtime && claim.requester === wanted.requester && claim.host === wanted.host &&
      claim.standing === wanted.standing
    );
  }

  #mayHave(wanted: Claim, overtime: boolean, bound: number): boolean {
    const { timesFree = 1, forNewcomers = 0 } = this.bounds;
    const is = ({ claim, isOvertime }: Held) => isOvertime === overtime && claim.standing === wanted.standing;
    const free = bound - this.count(is);
    const had = this.count((held) => is(held) && held.claim.requester === wanted.requester);
    const own = this.#own(wanted, overtime);
    return free >= 1 && (had === 0 || had + 1 <= timesFree * (free - Math.floor(bound * forNewcomers))) &&
      (own === 0 || own + 1 <= timesFree * free - had);
  }
}

const BOUNDS: readonly Bounds[] = [
  { most: 40, of: { proven: 0, slow: 0, new: 40, failing: 0 } },
  {
    most: 60,
    of: { proven: 12, slow: 6, new: 12, failing: 6 },
    overtime: { proven: 12, new: 12 },
    perHost: { proven: 5, slow: 3, new: 5, failing: 3 },
    forNewcomers: 1 / 4,
  },
  {
    most: 50,
    of: { proven: 0, slow: 0, new: 50, failing: 0 },
    perHost: { proven: 0, slow: 0, new: 40, failing: 0 },
  },
  { most: 30, of: { proven: 30, slow: 0, new: 0, failing: 0 }, timesFree: 3, forNewcomers: 1 / 8 },
];
const LIMIT = 6;

/** Requesters whose waiters are looked at anew after each step: with more of them at one host, some have to wait for a later step. */
const FEW = 8;

/** Random steps of a pool and of its model, which must agree after each of them. */
class Play {
  readonly #bounds: Bounds;
  readonly #random: Random;
  readonly #requesters: number;
  readonly #hosts: number;
  readonly #standings: readonly Standing[];
  readonly #model: Model;
  readonly #shares: FairShares<number>;
  #made = 0;

  constructor(bounds: Bounds, seed: number) {
    this.#bounds = bounds;
    this.#random = new Random(seed, "shares");
    this.#requesters = this.#random.integer(2, seed % 2 === 0 ? FEW : 40);
    this.#hosts = this.#random.integer(1, 5);
    this.#standings = STANDINGS.filter((standing) => bounds.of[standing] > 0);
    this.#model = new Model(bounds);
    this.#shares = new FairShares<number>({ ...bounds, onTurn: (waiter, place) => this.#onTurn(waiter, place) });
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      const kind = this.#random.integer(0, 21);
      if (kind < 9) this.#enter();
      else if (kind < 15) this.#leave();
      else if (kind < 17) this.#forget();
      else if (kind < 19) this.#turn();
      else this.#limit();
      this.#compare(`step ${step}`);
    }
    while (this.#model.held.size > 0) this.#leave();
    assert.equal(this.#model.waiting.size, 0, "who waits has a turn at last");
    for (let n = 0; n < LIMIT; n++) this.#shares.recover(LIMIT);
    const { used, waiting, remembered } = this.#shares;
    assert.deepEqual([used, waiting, remembered], [0, 0, 0], "nothing is left behind");
  }

  #compare(step: string): void {
    const { held, waiting } = this.#model;
    assert.equal(this.#shares.used, held.size, `${step}: no place is lost`);
    assert.equal(this.#shares.waiting, waiting.size, step);
    for (const standing of STANDINGS) {
      const used = this.#model.count(({ claim, isOvertime }) => claim.standing === standing && !isOvertime);
      assert.equal(this.#shares.usedBy(standing), used, step);
      assert.ok(used <= this.#bounds.of[standing], `${step}: no bound is passed`);
    }
    if (this.#requesters > FEW) return;
    const stuck = [...waiting.values()].filter((claim) => this.#model.mayEnter(claim));
    assert.deepEqual(stuck, [], `${step}: nobody waits who may go`);
  }

  #onTurn(waiter: number, place: Place): boolean {
    const claim = this.#model.waiting.get(waiter)!;
    assert.ok(this.#model.mayEnter(claim), "nobody goes who may not");
    this.#model.waiting.delete(waiter);
    // Some no longer want it.
    if (this.#random.chance(1 / 8)) return false;
    this.#model.held.add({ claim, place, isOvertime: false });
    return true;
  }

  #enter(): void {
    const requester = `r${this.#random.integer(1, this.#requesters)}`;
    const host = `h${this.#random.integer(1, this.#hosts)}`;
    const claim = { requester, host, standing: this.#random.pick(this.#standings) };
    const waiter = this.#made++;
    const place = this.#shares.enter(claim, waiter);
    assert.equal(place !== undefined, this.#model.mayEnter(claim), "who may have a place has one at once");
    if (place === undefined) this.#model.waiting.set(waiter, claim);
    else this.#model.held.add({ claim, place, isOvertime: false });
  }

  #leave(): void {
    const held = this.#random.pick([...this.#model.held]);
    if (held === undefined) return;
    this.#model.held.delete(held);
    this.#shares.leave(held.place);
    // Once more changes nothing.
    this.#shares.leave(held.place);
  }

  #forget(): void {
    const entry = this.#random.pick([...this.#model.waiting]);
    if (entry === undefined) return;
    const [waiter, claim] = entry;
    this.#model.waiting.delete(waiter);
    this.#shares.forget(claim, waiter);
  }

  #turn(): void {
    const held = this.#random.pick([...this.#model.held]);
    if (held === undefined || held.isOvertime) return;
    held.isOvertime = this.#model.mayTurn(held.claim);
    assert.equal(this.#shares.turn(held.place), held.isOvertime);
    this.#shares.wake();
  }

  #limit(): void {
    const held = this.#random.pick([...this.#model.held]);
    if (held === undefined) return;
    const key = `${held.claim.requester} ${held.claim.host}`;
    const limit = this.#model.limits.get(key) ?? Infinity;
    if (this.#random.chance(1 / 2)) {
      this.#shares.ease(held.place, LIMIT);
      this.#model.limits.set(key, Math.max(1, Math.floor(Math.min(limit, LIMIT) / 2)));
    } else {
      this.#shares.trust(held.place, LIMIT);
      this.#model.limits.set(key, limit + 1 >= LIMIT ? Infinity : limit + 1);
      this.#shares.wake();
    }
  }
}

describe("fair shares and a slow model of them", () => {
  for (const [number, bounds] of BOUNDS.entries()) {
    it(`agree in random steps, bounds ${number + 1}`, () => {
      for (let seed = 1; seed <= 30; seed++) new Play(bounds, seed).run(500);
    });
  }
});
