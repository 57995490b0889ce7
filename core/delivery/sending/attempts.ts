// The attempts of all lanes: which lane's turn it is, as limits allow, and what follows when one has landed. Each step is
// synchronous.
import { SecretError } from "../../keys/secrets.ts";
import { Attempt, type Attempting } from "./attempt.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "../reading/lane-memory.ts";
import { type LaneOutcomes, type LaneOwner, SLOW_MS } from "./lane-outcomes.ts";
import type { Limits } from "./limits.ts";
import type { Outcome } from "../lane/outcome.ts";
import type { Pauses } from "./pauses.ts";
import { Queue } from "./queue.ts";
import type { Reading } from "../reading/reading.ts";
import type { SignedHeaders } from "./headers.ts";
import { DeadlineList } from "./timers.ts";
import type { Transport } from "./transport.ts";
import type { UnderWay } from "./in-flight.ts";

export interface AttemptsOptions {
  readonly transport: Transport;
  readonly headersOf: SignedHeaders;
  readonly owner: LaneOwner;
  readonly memory: LaneMemory;
  readonly reading: Reading;
  readonly limits: Limits;
  readonly pauses: Pauses;
  readonly underWay: UnderWay;
  readonly outcomes: LaneOutcomes;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** A3.4: whether this process is sure to have its shards still. Asked in the same tick as each send. */
  readonly isConfirmed: () => boolean;
}

/** Others have their turn after so long. */
const TURN_MS = 20;

export class Attempts implements Attempting {
  readonly clock: () => number;
  readonly #options: AttemptsOptions;
  readonly #limits: Limits;
  readonly #reading: Reading;
  readonly #underWay: UnderWay;
  readonly #isConfirmed: () => boolean;
  readonly #slowing = new DeadlineList<Attempt>(SLOW_MS);
  readonly #ready = new Queue<Lane>();
  #pumping = false;
  #stopped = false;

  constructor(options: AttemptsOptions) {
    const { limits, reading, underWay, clock, isConfirmed } = options;
    this.#options = options;
    this.#limits = limits;
    this.#reading = reading;
    this.#underWay = underWay;
    this.clock = clock;
    this.#isConfirmed = isConfirmed;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Nothing new starts. */
  stop(): void {
    this.#stopped = true;
  }

  /** What comes next for a lane: reading on if it has little in hand, else an attempt. */
  goOn(lane: Lane): void {
    this.#reading.refill(lane);
    this.makeReady(lane);
  }

  /** Goes on reading, whatever the lane has in hand. */
  resume(lane: Lane): void {
    this.#reading.resume(lane);
    this.makeReady(lane);
  }

  /** The lane waits for its turn, if it may start an attempt. */
  makeReady(lane: Lane): void {
    if (lane.isWaiting || !this.#mayStart(lane)) return;
    lane.startWaiting();
    this.#ready.push(lane);
  }

  /** Starts what may start. */
  pump(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    try {
      this.#start();
    } finally {
      this.#pumping = false;
    }
  }

  /** Looks at what is slow by now, whose pause is over, for whom there is room. */
  tick(): void {
    const now = this.clock();
    const { pauses, memory } = this.#options;
    for (const attempt of this.#slowing.due(now)) {
      attempt.isSuspect = true;
      attempt.lane.suspect();
      this.#limits.slow(attempt.url.origin);
    }
    for (const lane of pauses.due(now)) this.#onDue(lane);
    this.again(this.#limits.wake());
    // Behind those that wait for memory already.
    for (const lane of memory.reclaim()) this.goOn(lane);
    this.#feed();
    this.pump();
  }

  /** Lanes that the limits kept may try again. */
  again(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      lane.stopWaiting();
      this.goOn(lane);
    }
  }

  mayGo(lane: Lane): boolean {
    return lane.state !== "ended" && this.#isConfirmed();
  }

  settle(attempt: Attempt, outcome: Outcome): void {
    const { lane } = attempt;
    const { origin } = attempt.url;
    const now = this.clock();
    this.#slowing.remove(attempt);
    // Before its place is another's.
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) this.#limits.ease(origin);
    this.again(this.#limits.leave(origin, attempt.isSuspect));
    this.#options.outcomes.apply(attempt, outcome, now);
    this.#options.owner.moved(lane);
    // After the lane has moved: whoever waits for it writes where it stands.
    this.#underWay.lands(lane.shard);
    this.#options.memory.settle(lane);
    if (this.#stopped) return;
    this.goOn(lane);
    this.#feed();
    this.pump();
  }

  #feed(): void {
    for (let lane = this.#reading.feed(); lane !== undefined; lane = this.#reading.feed()) this.makeReady(lane);
  }

  #onDue(lane: Lane): void {
    if (lane.endPause(this.clock())) this.resume(lane);
  }

  #mayStart(lane: Lane): boolean {
    if (lane.isOver || !lane.hasRoom) return false;
    if (this.#underWay.isLeaving(lane.shard)) return false;
    if (!lane.backlog.hasNext) return false;
    const now = this.clock();
    if (now >= lane.expiresAt) {
      // §5.3.1: nothing is sent after the lease, even if the sweep has not come by yet.
      this.#reading.expire(lane);
      this.#options.owner.leaseOver(lane);
      return false;
    }
    return !lane.isPausing(now);
  }

  #start(): void {
    const begun = performance.now();
    // In doubt they stay where they are: the next tick looks again.
    for (let looked = 1; this.#ready.size > 0 && !this.#limits.full && this.#isConfirmed(); looked++) {
      // Of many that only begin to wait for their origin, the rest has its turn with the next answer or tick.
      if ((looked & 63) === 0 && performance.now() - begun > TURN_MS) return;
      const lane = this.#ready.shift()!;
      if (!this.#mayStart(lane)) lane.stopWaiting();
      // Kept by the limits until a place is free.
      else if (!this.#limits.enter(lane)) continue;
      else {
        lane.stopWaiting();
        this.#attempt(lane);
      }
      // Also one that has nothing in hand any more: it may have let go of it while it waited.
      this.goOn(lane);
    }
  }

  #attempt(lane: Lane): void {
    const now = this.clock();
    const flight = lane.depart(now)!;
    const headers = this.#options.headersOf(lane.target, flight.message, now);
    const attempt = new Attempt(this, lane, flight, headers instanceof SecretError ? [] : headers, now);
    if (!attempt.isSuspect) this.#slowing.add(attempt, now);
    this.#underWay.departs(lane.shard);
    // Never unsigned: it fails like any attempt, and is tried again when the key may be there.
    if (headers instanceof SecretError) queueMicrotask(() => attempt.failed(headers.message));
    else this.#options.transport.post(attempt);
  }
}
