// The claims of this process to shards: as many as the group assigns, each by itself, so that a shard that cannot be taken holds up
// no other (A3.2 to A3.4). Where there is no group, the process claims all of them at its start.
import { getLogger } from "@logtape/logtape";
import { pause, waitAtMost } from "../../shared/pause.ts";
import { type Log, LogError, type Membership, partitionsOf } from "../log/log.ts";
import { Claim, type ClaimOptions, MOVE_TIMEOUTS } from "./claim.ts";

export interface ClaimsOptions extends Omit<ClaimOptions, "onRunning"> {
  readonly log: Pick<Log, "join" | "partitions" | "supports">;
  /** The group's name for the process before this one in the same data directory, if that process is certainly dead. */
  readonly predecessor?: string | undefined;
  /** Gets the group's name for this process. */
  readonly joinedAs: (id: string) => void;
  readonly random: () => number;
  /** Gets an error that no other process can mend: a lost shard where there is no group, or a log with wrong settings. */
  readonly onFatal: (error: Error) => void;
}

/** How long the last batch may take when the process stops: its shards are given to nobody before it leaves. */
const LAST_BATCH_MS = 10_000;
/** Extra time to close shards whose release took too long. */
const GRACE_MS = 2_500;

const logger = getLogger(["tidings", "core", "consolidator"]);

export class Claims {
  readonly counts = { rebalances: 0, taken: 0, fenced: 0 };
  readonly #options: ClaimsOptions;
  readonly #claims = new Map<number, Claim>();
  #wanted: ReadonlySet<number> = new Set();
  #membership: Membership | undefined;
  #isStopped = false;
  readonly #settled = Promise.withResolvers<void>();
  #isSettled = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#settled.promise.catch(() => {});
  }

  /** Claims what the group assigns, or all shards where there is none. */
  begin(): void {
    const { log, ownership, predecessor, joinedAs } = this.#options;
    if (!log.supports.group) return this.#assigned(partitionsOf(log, "events"));
    const membership = this.#membership = log.join!({
      // Sorted, so that the same shards are the same bytes: a member that joins with other bytes starts a rebalance.
      held: () =>
        [...this.#claims.values()].filter(({ signal }) => !signal.aborted).map(({ number }) => number)
          .toSorted((a, b) => a - b),
      assigned: (shards) => this.#assigned(shards),
      predecessor,
      joinedAs,
      // This ends a start only: a process that runs waits until it is allowed again.
      forbidden: (error) => this.#settled.reject(error),
    });
    ownership.joined(membership);
  }

  /**
   * Resolves when every shard of the first assignment runs, or after `timeoutMs`, or when `signal` aborts.
   * @throws {Error} where there is no group and a shard cannot be taken @throws {LogError} "misconfigured"
   */
  async settled(timeoutMs: number | undefined, signal?: AbortSignal): Promise<void> {
    if (timeoutMs === undefined) return await this.#settled.promise;
    await waitAtMost(timeoutMs, this.#settled.promise, signal);
    // From now on `onFatal` hears of a failure: nobody waits here.
    this.#isSettled = true;
  }

  /**
   * Releases all shards, then leaves the group (A3.3). Attempts have `deadlineMs` to be answered where no other process waits for the
   * shards. Never rejects.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopped = true;
    const claims = [...this.#claims.values()];
    // With all shards here no other process stands still meanwhile: subscribers have as long to answer as with one process.
    const isAlone = this.#membership === undefined || claims.length === this.#options.log.partitions("events");
    const timeouts = { answersMs: isAlone ? deadlineMs : MOVE_TIMEOUTS.answersMs, batchMs: LAST_BATCH_MS };
    for (const claim of claims) claim.abandon(timeouts);
    const all = Promise.all(claims.map(({ ended }) => ended));
    // A log that does not answer is not waited for: the next owner finds what was written last.
    await waitAtMost(timeouts.answersMs + timeouts.batchMs + GRACE_MS, all);
    await this.#membership?.leave();
  }

  #assigned(shards: readonly number[]): void {
    if (this.#isStopped) return;
    this.counts.rebalances++;
    this.#wanted = new Set(shards);
    for (const claim of this.#claims.values()) if (!this.#wanted.has(claim.number)) claim.abandon();
    for (const number of this.#wanted) this.#claim(number);
    this.#settle();
  }

  #claim(number: number): void {
    // A shard that is just being released is claimed again when that is done.
    if (this.#claims.has(number)) return;
    const claim = new Claim(number, {
      ...this.#options,
      onRunning: () => {
        this.counts.taken++;
        this.#settle();
      },
    });
    this.#claims.set(number, claim);
    void this.#follow(claim);
  }

  async #follow(claim: Claim): Promise<void> {
    const { number, signal } = claim;
    const failure = await claim.ended;
    if (failure !== undefined && !signal.aborted && !this.#isStopped) await this.#failed(number, failure, signal);
    this.#claims.delete(number);
    if (this.#wanted.has(number) && !this.#isStopped) this.#claim(number);
    this.#settle();
  }

  async #failed(number: number, error: Error, signal: AbortSignal): Promise<void> {
    const isExpected = error instanceof LogError;
    // Without a group no other process can go on with the shard; and none can with a misconfigured Kafka.
    if (this.#membership === undefined || (isExpected && error.code === "misconfigured")) {
      this.#wanted = new Set([...this.#wanted].filter((other) => other !== number));
      return this.#isSettled ? this.#options.onFatal(error) : this.#settled.reject(error);
    }
    logger[isExpected ? "warn" : "error"](
      "Shard {shard} is lost, and taken again if it is still this process's: {error}",
      { shard: number, error: isExpected ? error.message : error },
    );
    if (isExpected && error.code === "fenced") {
      this.counts.fenced++;
      // The group may have removed this process without telling it (A3.4).
      this.#membership.rejoin();
    }
    await pause(200 + this.#options.random() * 800, signal);
  }

  #settle(): void {
    if (this.#isSettled || this.counts.rebalances === 0) return;
    if ([...this.#wanted].some((number) => this.#claims.get(number)?.isRunning !== true)) return;
    this.#isSettled = true;
    this.#settled.resolve();
  }
}
