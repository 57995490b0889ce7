// The scheduler of all lanes of this process, put together: the tail hands each message to the lanes of its topic, those that
// are behind read up to it, attempts start as limits allow, outcomes move the lanes (ARCHITECTURE §4). Everything here happens
// in synchronous steps; what must be durable (ends, dead letters, positions) is told to the shard's owner, who writes it.
import type { BlockIndex } from "../messages/block-index.ts";
import { createReadMessages } from "../messages/read-messages.ts";
import type { Signers } from "../keys/signers.ts";
import type { Log } from "../log/log.ts";
import { Attempts } from "./sending/attempts.ts";
import { Beside } from "./sending/replay-attempts.ts";
import { createCounts } from "./sending/counts.ts";
import type { Lane, LaneTerms } from "./lane/lane.ts";
import { LaneMemory } from "./reading/lane-memory.ts";
import { type FailureSettings, LaneOutcomes, type LaneOwner } from "./sending/lane-outcomes.ts";
import { Limits } from "./sending/limits.ts";
import type { Message } from "../messages/message.ts";
import type { Outcome } from "./lane/outcome.ts";
import { Pauses, TICK_MS } from "./sending/pauses.ts";
import { type Quiet, Reading } from "./reading/reading.ts";
import type { RecentIds } from "../messages/recent-ids.ts";
import { createSignedHeaders, type SignatureAlgorithm } from "./sending/headers.ts";
import { Tail } from "../messages/tail.ts";
import type { Transport } from "./sending/transport.ts";
import { UnderWay } from "./sending/in-flight.ts";

export interface DeliverySettings extends FailureSettings {
  readonly userAgent: string;
  readonly signature: SignatureAlgorithm;
  /** Bound of all that lanes hold, bytes. */
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
  readonly random: () => number;
  /** A3.4: whether this process is sure to have its shards still. Asked in the same tick as each send. */
  readonly isConfirmed?: () => boolean;
}

export class Delivery {
  readonly counts = createCounts();
  readonly tail: Tail;
  readonly #dependencies: DeliveryDependencies;
  readonly #limits = new Limits();
  readonly #underWay = new UnderWay();
  readonly #pauses: Pauses;
  readonly #memory: LaneMemory;
  readonly #reading: Reading;
  readonly #attempts: Attempts;
  readonly #beside: Beside;
  #ticker: NodeJS.Timeout | undefined;

  /** `from`: per partition of `messages`, the offset from which on the tail offers to lanes. */
  constructor(dependencies: DeliveryDependencies, owner: LaneOwner, from: readonly number[]) {
    const { settings, transport, signers, clock, random, isConfirmed = () => true } = dependencies;
    const { counts } = this;
    this.#dependencies = dependencies;
    const tail = this.tail = new Tail(dependencies, {
      offer: (message) => this.#reading.offer(message),
      skipped: (partition, gap) => this.#reading.skipped(partition, gap),
      stepped: () => this.#attempts.pump(),
    }, from);
    const limits = this.#limits;
    const underWay = this.#underWay;
    const pauses = this.#pauses = new Pauses(clock());
    const tailNext = (partition: number) => tail.next(partition);
    const memory = this.#memory = new LaneMemory({ most: settings.laneMemoryBytes, tailNext, clock });
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
    });
    const headersOf = createSignedHeaders({ ...settings, signers });
    const outcomes = new LaneOutcomes({ settings, owner, reading, memory, limits, pauses, counts, random });
    const shared = { transport, headersOf, limits, underWay, outcomes, clock };
    const attempts = this.#attempts = new Attempts({ ...shared, owner, memory, reading, pauses, isConfirmed });
    this.#beside = new Beside({ ...shared, attempts, counts });
  }

  /** Begins to follow the log; lanes may be added before and after. */
  start(): void {
    this.tail.start();
    this.#ticker = setInterval(() => this.#attempts.tick(), TICK_MS);
  }

  get inFlight(): number {
    return this.#limits.inFlight;
  }
  get heldBytes(): number {
    return this.#memory.bytes;
  }

  /**
   * A lane begins, or goes on after a restart or an expiry, from its position. Of one of a shard just taken `quiet` may say that
   * there is nothing for it: a million of those join the tail without a look at the log.
   */
  add(lane: Lane, quiet?: Quiet): void {
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

  /** Renewed: what waits is tried at once, under the new secret. */
  renew(lane: Lane, terms: LaneTerms): void {
    lane.renew(terms);
    this.#attempts.resume(lane);
    this.#attempts.pump();
  }

  /** The subscriber has everything before this offset: it is not sent any more (WIRE §5, ack). */
  advance(lane: Lane, next: number): void {
    this.#memory.free(lane, lane.advance(next));
    this.#attempts.goOn(lane);
    this.#attempts.pump();
  }

  /** Push again, at once, from this offset or from where the lane stands (WIRE §5, resume). */
  rewind(lane: Lane, from: number | undefined): void {
    if (from !== undefined) this.#memory.free(lane, lane.rewind(from));
    if (lane.state === "expired") return;
    lane.resume();
    this.#attempts.resume(lane);
    this.#attempts.pump();
  }

  /** The lease is over: nothing more starts; the outcomes of attempts in flight still count. */
  expire(lane: Lane): void {
    this.#reading.expire(lane);
  }

  /** The subscription ended: nothing more starts, and the outcomes of attempts in flight move nothing. */
  end(lane: Lane): void {
    this.#reading.end(lane);
  }

  /** One attempt with a message beside the lane; see `Beside`. */
  beside(lane: Lane, message: Message): Promise<Outcome> | undefined {
    return this.#beside.send(lane, message);
  }

  /** From now on nothing of this shard starts (A3.3). Resolves when none of its attempts is under way, or at the deadline. */
  hold(shard: number, deadlineMs: number): Promise<void> {
    return this.#underWay.hold(shard, deadlineMs);
  }

  /** The lanes of a shard that is not here any more: whatever comes of their attempts moves nothing. */
  forget(shard: number, lanes: Iterable<Lane>): void {
    for (const lane of lanes) this.end(lane);
    this.#underWay.forget(shard);
  }

  /** Starts nothing new; resolves when nothing is in flight, or at the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.#attempts.stop();
    await this.tail.close();
    clearInterval(this.#ticker);
    await this.#reading.close();
    await this.#underWay.until(() => this.#limits.inFlight === 0, deadlineMs);
  }
}
