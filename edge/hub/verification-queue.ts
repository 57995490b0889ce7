// Decides which intent is verified next (WIRE §2): one at a time of each pair, in log order; a bounded number to each
// callback origin; and the origins in turn.

import { parseHttpUrl } from "../../shared/http-url.ts";
import { identityOf } from "../../shared/identity.ts";
import type { VerifiableIntent } from "../../shared/outbound/verification.ts";

/** An accepted intent: its operation's id, its offset in the log, and when it was accepted (`now()`). */
export interface AcceptedIntent extends VerifiableIntent {
  readonly id: string;
  readonly offset: number;
  readonly acceptedAt: number;
}

/** The intents of one pair; `running` while one of them is being verified, also while that one pauses between two tries. */
export interface Pair {
  readonly key: string;
  readonly origin: Origin;
  /** In log order. */
  readonly waiting: AcceptedIntent[];
  running: boolean;
}

/** One callback origin. */
interface Origin {
  readonly key: string;
  /** Pairs that have something to verify and are not running, and pairs that go on after a pause. */
  readonly startable: Pair[];
  /** Pairs that run and do not pause. */
  running: number;
  resting: number;
}

export class VerificationQueue {
  readonly #maxPerOrigin: number;
  readonly #pairs = new Map<string, Pair>();
  readonly #origins = new Map<string, Origin>();
  /** Origins that have something to start and room to start it, in turn. */
  readonly #turn = new Set<Origin>();
  #waiting = 0;

  constructor(maxPerOrigin: number) {
    this.#maxPerOrigin = maxPerOrigin;
  }

  /** How many intents wait. */
  get waiting(): number {
    return this.#waiting;
  }

  add(intent: AcceptedIntent): void {
    const pair = this.#pairOf(intent);
    // Answers of the core may overtake each other; the log's order counts.
    const at = pair.waiting.findIndex((other) => other.offset > intent.offset);
    pair.waiting.splice(at === -1 ? pair.waiting.length : at, 0, intent);
    this.#waiting++;
    if (pair.running || pair.waiting.length > 1) return;
    pair.origin.startable.push(pair);
    if (pair.origin.running < this.#maxPerOrigin) this.#turn.add(pair.origin);
  }

  /** Starts the pair whose turn it is, or lets it go on; undefined if none may. It runs until `rest` or `end`. */
  start(): Pair | undefined {
    for (const origin of this.#turn) {
      this.#turn.delete(origin);
      const pair = origin.startable.shift();
      if (pair === undefined) continue;
      origin.running++;
      pair.running = true;
      // The origin goes to the end of the turn: none is served twice while another waits.
      if (origin.startable.length > 0 && origin.running < this.#maxPerOrigin) this.#turn.add(origin);
      return pair;
    }
    return undefined;
  }

  /** Takes the pair's next intent out of the queue. */
  shift(pair: Pair): AcceptedIntent | undefined {
    const intent = pair.waiting.shift();
    if (intent !== undefined) this.#waiting--;
    return intent;
  }

  /** Drops the pair's waiting intents that are older than `offset`; yields how many. */
  dropOlder(pair: Pair, offset: number): number {
    const kept = pair.waiting.filter((other) => other.offset > offset);
    const dropped = pair.waiting.length - kept.length;
    this.#waiting -= dropped;
    pair.waiting.splice(0, Infinity, ...kept);
    return dropped;
  }

  /** The running pair pauses between two tries: another one of its origin may start. */
  rest({ origin }: Pair): void {
    origin.running--;
    origin.resting++;
    if (origin.startable.length > 0) this.#turn.add(origin);
  }

  /** The pair's pause is over: it goes on at its origin's next turn, before those that have not begun. */
  goOn(pair: Pair): void {
    const { origin } = pair;
    origin.resting--;
    origin.startable.unshift(pair);
    if (origin.running < this.#maxPerOrigin) this.#turn.add(origin);
  }

  /** The pair no longer runs: it, or another one of its origin, may start. */
  end(pair: Pair): void {
    const { origin } = pair;
    pair.running = false;
    origin.running--;
    if (pair.waiting.length > 0) origin.startable.push(pair);
    else this.#pairs.delete(pair.key);
    if (origin.startable.length > 0) this.#turn.add(origin);
    else if (origin.running + origin.resting === 0) this.#origins.delete(origin.key);
  }

  #pairOf({ topic, callback }: VerifiableIntent): Pair {
    // §5.1.1: two spellings of a pair are one pair.
    const key = `${identityOf(topic)}\0${identityOf(callback)}`;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { key, origin: this.#originOf(parseHttpUrl(callback).origin), waiting: [], running: false };
      this.#pairs.set(key, pair);
    }
    return pair;
  }

  #originOf(key: string): Origin {
    let origin = this.#origins.get(key);
    if (origin === undefined) this.#origins.set(key, origin = { key, startable: [], running: 0, resting: 0 });
    return origin;
  }
}
