// The scheduler of all lanes of this process, put together (ARCHITECTURE §4): the tail hands each message to the lanes of its topic, lanes
// that are behind read up to it, attempts start as the places allow, and outcomes move the lanes. Everything happens in synchronous
// steps. The owner of a lane's shard hears of what must be durable (ends, dead letters, positions) and writes it.
import type { SignatureMethod } from "../../shared/signature-methods.ts";
import type { Signers } from "../keys/signers.ts";
import type { Log } from "../log/log.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import type { Message } from "../messages/message.ts";
import { createReadMessages } from "../messages/read-messages.ts";
import type { RecentIds } from "../messages/recent-ids.ts";
import { Tail } from "../messages/tail.ts";
import type { Lane, LaneTerms } from "./lane/lane.ts";
import type { Outcome } from "./lane/outcome.ts";
import { LaneMemory } from "./reading/lane-memory.ts";
import { type QuietTopics, Reading } from "./reading/reading.ts";
import { AttemptsInFlight } from "./sending/attempt.ts";
import { Attempts } from "./sending/attempts.ts";
import { createSignedHeaders } from "./sending/headers.ts";
import { createCounts, type FailureSettings, type LaneOwner } from "./sending/apply-outcome.ts";
import { Places } from "./sending/places.ts";
import { ReplayAttempts } from "./sending/replay-attempts.ts";
import { Pauses, TICK_MS } from "./sending/timers.ts";
import type { Transport } from "./sending/transport.ts";

export interface DeliverySettings extends FailureSettings {
  readonly userAgent: string;
  readonly signature: SignatureMethod;
  /** The most bytes that all lanes hold together. */
  readonly laneMemoryBytes: number;
}

export interface DeliveryDependencies {
  readonly log: Log;
  readonly transport: Transport;
  readonly recentIds: RecentIds;
  readonly blocks: BlockIndex;
  readonly signers: Signers;
  readonly settings: DeliverySettings;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** A3.4: whether this process is sure to have its shards still. Asked in the same tick as each send. */
  readonly isConfirmed?: () => boolean;
}

export class Delivery {
  readonly counts = createCounts();
  readonly tail: Tail;
  readonly #dependencies: DeliveryDependencies;
  readonly #places: Places;
  readonly #inFlight = new AttemptsInFlight();
  readonly #pauses: Pauses;
  readonly #memory: LaneMemory;
  readonly #reading: Reading;
  readonly #attempts: Attempts;
  readonly #replays: ReplayAttempts;
  #ticker: NodeJS.Timeout | undefined;

  /** `from`: per partition of `messages`, the first offset that the tail offers to lanes. */
  constructor(dependencies: DeliveryDependencies, owner: LaneOwner, from: readonly number[]) {
    const { settings, transport, signers, clock, random, isConfirmed = () => true } = dependencies;
    this.#dependencies = dependencies;
    const tail = this.tail = new Tail(dependencies, {
      offer: (message) => this.#reading.offer(message),
      skipped: (partition, gap) => this.#reading.skipped(partition, gap),
      stepped: () => this.#attempts.pump(),
    }, from);
    const tailNext = (partition: number) => tail.next(partition);
    const memory = this.#memory = new LaneMemory({
      most: settings.laneMemoryBytes,
      tailNext,
      clock,
      onTurn: (lane) => this.#reading.feed(lane),
    });
    const reading = this.#reading = new Reading({
      tail,
      memory,
      read: createReadMessages({ ...dependencies, index: dependencies.blocks }),
      moved: (lane) => owner.moved(lane),
      ready: (lane) => this.#attempts.makeReady(lane),
      arrived: (lane) => {
        this.#attempts.goOn(lane);
        this.#attempts.pump();
      },
      left: (lane) => this.#attempts.forget(lane),
    });
    const places = this.#places = new Places((lane, place) => this.#attempts.onTurn(lane, place));
    const pauses = this.#pauses = new Pauses(clock());
    const outcomes = { settings, owner, memory, reading, places, pauses, counts: this.counts, random };
    const headersOf = createSignedHeaders({ ...settings, signers });
    const sending = { transport, headersOf, inFlight: this.#inFlight, outcomes, clock };
    const attempts = this.#attempts = new Attempts({ ...sending, isConfirmed });
    this.#replays = new ReplayAttempts({ ...sending, attempts });
  }

  /** Begins to follow the log; lanes may be added before and after. */
  start(): void {
    this.tail.start();
    this.#ticker = setInterval(() => this.#attempts.tick(), TICK_MS);
  }

  /** Starts nothing new; resolves when nothing is in flight, or at the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.#attempts.stop();
    await this.tail.close();
    clearInterval(this.#ticker);
    await this.#reading.close();
    await this.#inFlight.until(() => this.#places.inFlight === 0, deadlineMs);
  }

  get inFlight(): number {
    return this.#places.inFlight;
  }
  /** Attempts in flight by the standing of their lanes, and those that take long. */
  get inFlightBy(): ReturnType<Places["counts"]> {
    return this.#places.counts();
  }
  /** Lanes that wait for a place. */
  get waiting(): number {
    return this.#places.waiting;
  }
  get heldBytes(): number {
    return this.#memory.bytes;
  }

  /**
   * A lane begins, or goes on after a restart or an expiry, from its position. For a lane of a shard just taken, `quiet` may say that
   * there is nothing to read: a million of those join the tail without a look at the log.
   */
  add(lane: Lane, quiet?: QuietTopics): void {
    this.#reading.add(lane);
    if (lane.state === "parked") {
      // After a restart the probes do not all come at once.
      const { clock, random, settings } = this.#dependencies;
      this.#pauses.add(lane, clock() + random() * settings.probeIntervalMs);
    } else {
      if (this.#reading.joinIfQuiet(lane, quiet)) return;
      this.#attempts.resume(lane);
    }
    this.#attempts.pump();
  }

  /** The lane is renewed: what waits is tried at once, under the new secret. */
  renew(lane: Lane, terms: LaneTerms): void {
    lane.renew(terms);
    this.#resume(lane);
  }

  /** The subscriber has everything before this offset: it is not sent (WIRE §5, ack). */
  advance(lane: Lane, next: number): void {
    this.#memory.free(lane, lane.advance(next));
    this.#attempts.goOn(lane);
    this.#attempts.pump();
  }

  /** Sends again, at once, from this offset or from where the lane stands (WIRE §5, resume). */
  rewind(lane: Lane, from: number | undefined): void {
    if (from !== undefined) this.#memory.free(lane, lane.rewind(from));
    if (lane.state === "expired") return;
    lane.resume();
    this.#resume(lane);
  }

  #resume(lane: Lane): void {
    this.#attempts.resume(lane);
    this.#attempts.pump();
  }

  /** The lease is over: no attempt starts; the outcomes of attempts in flight still count. */
  expire(lane: Lane): void {
    this.#reading.expire(lane);
  }

  /** The subscription ended: no attempt starts, and the outcomes of attempts in flight move nothing. */
  end(lane: Lane): void {
    this.#reading.end(lane);
  }

  /** One attempt with a dead letter beside the lane; see `ReplayAttempts.send`. */
  replay(lane: Lane, message: Message): Promise<Outcome> | undefined {
    return this.#replays.send(lane, message);
  }

  /** No attempt of this shard starts from now on (A3.3). Resolves when none is in flight, or at the deadline. */
  drain(shard: number, deadlineMs: number): Promise<void> {
    return this.#inFlight.drain(shard, deadlineMs);
  }

  /** Ends the lanes of a shard that has left this process: the outcomes of their attempts move nothing. */
  forget(shard: number, lanes: Iterable<Lane>): void {
    for (const lane of lanes) this.end(lane);
    this.#inFlight.forget(shard);
  }
}
