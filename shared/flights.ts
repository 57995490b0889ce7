// Requests that need the same work at the same time share it: the first one does it, the others wait for its outcome. A Worker's
// runtime may drop a request's work when its client has left, so there a request waits only so long for another's work.

import { waitAtMost } from "./pause.ts";

export interface FlightsOptions {
  /** Asks the runtime to let work go on when the request that began it is over. Default: it goes on by itself. */
  readonly keep?: (work: Promise<unknown>) => void;
  /** A request that has waited so long for another's work does the work itself, ms. Default: it waits for its end. */
  readonly patienceMs?: number;
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

interface Flight<T> {
  /** Resolves when there is an outcome. If its request was dropped, it may reject, or never settle. */
  ended: Promise<void>;
  outcome: Outcome<T> | undefined;
  /** The same work, begun again by one that waited for this. */
  again?: Flight<T>;
}

/** The work in flight, by its key. */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>();
  readonly #keep: (work: Promise<unknown>) => void;
  readonly #patienceMs: number;

  constructor({ keep = () => {}, patienceMs = Infinity }: FlightsOptions = {}) {
    this.#keep = keep;
    this.#patienceMs = patienceMs;
  }

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /** Yields the outcome of the work in flight under this key; if no work is in flight, it does `work`. */
  async join(key: string, work: () => Promise<T>): Promise<T> {
    let dropped: Flight<T> | undefined;
    for (let other = this.#flights.get(key); other !== undefined; other = this.#flights.get(key)) {
      await this.#await(other);
      // Whoever lost patience first may have done the work meanwhile.
      const outcome = other.outcome ?? other.again?.outcome;
      if (outcome !== undefined) return resultOf(outcome);
      if (this.#flights.get(key) === other) this.#flights.delete(key);
      dropped = other;
    }
    const flight: Flight<T> = { ended: Promise.resolve(), outcome: undefined };
    if (dropped !== undefined) dropped.again = flight;
    this.#flights.set(key, flight);
    flight.ended = this.#run(key, flight, work);
    this.#keep(flight.ended);
    await flight.ended;
    return resultOf(flight.outcome!);
  }

  /** Never rejects. */
  async #await({ ended }: Flight<T>): Promise<void> {
    try {
      if (this.#patienceMs === Infinity) await ended;
      else await waitAtMost(this.#patienceMs, ended);
    } catch {
      // The runtime says that the request has ended without its work.
    }
  }

  async #run(key: string, flight: Flight<T>, work: () => Promise<T>): Promise<void> {
    try {
      flight.outcome = { value: await work() };
    } catch (error) {
      flight.outcome = { error };
    }
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}

function resultOf<T>(outcome: Outcome<T>): T {
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}
