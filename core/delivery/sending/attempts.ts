// The attempts of all lanes: whose turn it is, as the places allow, and what follows when an attempt is over. Each step is synchronous.
import type { Place } from "../../../shared/shares/accounts.ts";
import { nextTurn, TURN_MS } from "../../../shared/turn.ts";
import { SecretError } from "../../keys/secrets.ts";
import { isLeaseOver } from "../../state/lease.ts";
import type { Lane } from "../lane/lane.ts";
import type { Outcome } from "../lane/outcome.ts";
import { Attempt, type AttemptOwner, type AttemptsInFlight } from "./attempt.ts";
import type { SignedHeaders } from "./headers.ts";
import { applyOutcome, type OutcomeContext, SLOW_MS } from "./apply-outcome.ts";
import { OVERTIME } from "./places.ts";
import { Queue } from "./queue.ts";
import { DeadlineList } from "./timers.ts";
import type { Transport } from "./transport.ts";

export interface AttemptsOptions {
  readonly transport: Transport;
  readonly headersOf: SignedHeaders;
  readonly inFlight: AttemptsInFlight;
  readonly outcomes: OutcomeContext;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** A3.4: whether this process is sure to have its shards still. Asked in the same tick as each send. */
  readonly isConfirmed: () => boolean;
}

/** The clock is read once for so many lanes, as most may only begin to wait for a place. */
const LOOKS_PER_CLOCK = 64;

export class Attempts implements AttemptOwner {
  readonly clock: () => number;
  readonly #options: AttemptsOptions;
  readonly #outcomes: OutcomeContext;
  readonly #inFlight: AttemptsInFlight;
  readonly #isConfirmed: () => boolean;
  readonly #slowing = new DeadlineList<Attempt>(SLOW_MS);
  readonly #ready = new Queue<Lane>();
  #pumping = false;
  #resting = false;
  #stopped = false;

  constructor(options: AttemptsOptions) {
    this.#options = options;
    this.#outcomes = options.outcomes;
    this.#inFlight = options.inFlight;
    this.clock = options.clock;
    this.#isConfirmed = options.isConfirmed;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Nothing new starts. */
  stop(): void {
    this.#stopped = true;
  }

  /** The lane reads on if it has little in hand, and waits for its turn if it has something to send. */
  goOn(lane: Lane): void {
    this.#outcomes.reading.refill(lane);
    this.makeReady(lane);
  }

  /** As `goOn`, but the lane reads on whatever it has in hand. */
  resume(lane: Lane): void {
    this.#outcomes.reading.resume(lane);
    this.makeReady(lane);
  }

  /** The lane waits for its turn, if it may start an attempt. */
  makeReady(lane: Lane): void {
    if (lane.isWaiting || !this.#mayStart(lane)) return;
    lane.startWaiting();
    this.#ready.push(lane);
  }

  /** Starts the attempts that may start. */
  pump(): void {
    if (this.#pumping || this.#resting || this.#stopped) return;
    this.#pumping = true;
    try {
      this.#start();
    } finally {
      this.#pumping = false;
    }
  }

  /** Looks for attempts that have become slow, pauses that are over, and lanes that there is a place for. */
  tick(): void {
    const now = this.clock();
    const { places, pauses, memory } = this.#outcomes;
    for (const attempt of this.#slowing.due(now)) {
      attempt.lane.slowDown();
      if (!places.turn(attempt.place)) this.#slowing.add(attempt, now);
    }
    for (const lane of pauses.due(now)) if (lane.endPause(this.clock())) this.resume(lane);
    places.tick();
    // These lanes wait behind those of the same requester that wait for memory already.
    for (const lane of memory.reclaim()) this.goOn(lane);
    memory.wake();
    this.pump();
  }

  /** The turn of a lane that waited for a place has come. False: it does not take the place. */
  onTurn(lane: Lane, place: Place): boolean {
    lane.stopWaiting();
    // A3.4: it waits with those that are ready until it is known whose its shard is.
    const isTaken = !this.#stopped && this.#isConfirmed() && lane.standing === place.standing && this.#mayStart(lane);
    if (isTaken) this.#attempt(lane, place);
    // It may have let go of its messages while it waited, or have another standing now.
    if (!this.#stopped) this.goOn(lane);
    return isTaken;
  }

  /** The lane is over. */
  forget(lane: Lane): void {
    if (this.#outcomes.places.forget(lane)) lane.stopWaiting();
  }

  mayGo(lane: Lane): boolean {
    return lane.state !== "ended" && this.#isConfirmed();
  }

  settle(attempt: Attempt, outcome: Outcome): void {
    const { lane, place } = attempt;
    const { places, owner, memory } = this.#outcomes;
    const now = this.clock();
    this.#slowing.remove(attempt);
    // The share falls before another lane takes the place.
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) places.ease(place);
    applyOutcome(this.#outcomes, attempt, outcome, now);
    owner.moved(lane);
    // The lane has moved by now: a release that waits for this attempt writes where the lane stands.
    this.#inFlight.ended(lane.shard);
    memory.settle(lane);
    // Others may start within this call, and they may be attempts of the same lane.
    places.leave(place);
    if (this.#stopped) return;
    this.goOn(lane);
    memory.wake();
    this.pump();
  }

  #mayStart(lane: Lane): boolean {
    if (lane.isOver || !lane.hasRoom || this.#inFlight.isLeaving(lane.shard) || !lane.backlog.hasNext) return false;
    const now = this.clock();
    if (isLeaseOver(lane, now)) {
      // §5.3.1: nothing is sent after the lease, even if the sweep has not come by yet.
      this.#outcomes.reading.expire(lane);
      this.#outcomes.owner.leaseOver(lane);
      return false;
    }
    return !lane.isPausing(now);
  }

  #start(): void {
    const { places } = this.#outcomes;
    const begun = performance.now();
    // A3.4: while it is unknown whose the shards are, lanes stay in the queue; the next tick looks again.
    for (let looked = 1; this.#ready.size > 0 && this.#isConfirmed(); looked++) {
      if (looked % LOOKS_PER_CLOCK === 0 && performance.now() - begun > TURN_MS) return this.#rest();
      const lane = this.#ready.shift()!;
      if (!this.#mayStart(lane)) lane.stopWaiting();
      else {
        const place = places.enter(lane);
        // It waits for its turn.
        if (place === undefined) continue;
        lane.stopWaiting();
        this.#attempt(lane, place);
      }
      // The lane may have nothing in hand: it may have let go of its messages while it waited.
      this.goOn(lane);
    }
  }

  /** Nothing more starts in this turn of the event loop: of many answers that come at once, each would start more. */
  #rest(): void {
    this.#resting = true;
    void nextTurn().then(() => {
      this.#resting = false;
      this.pump();
    });
  }

  #attempt(lane: Lane, place: Place): void {
    const now = this.clock();
    const flight = lane.depart(now)!;
    const headers = this.#options.headersOf(lane.target, flight.message, now);
    const attempt = new Attempt(this, lane, place, flight, headers instanceof SecretError ? [] : headers, now);
    if (place.standing in OVERTIME) this.#slowing.add(attempt, now);
    this.#inFlight.started(lane.shard);
    // A message of a subscription with a secret is never sent unsigned: the attempt fails and is repeated when the key may be there.
    if (headers instanceof SecretError) queueMicrotask(() => attempt.failed(headers.message));
    else this.#options.transport.post(attempt);
  }
}
