// The claim of this process to one shard, which is taken, runs, and is released again or lost (A3.2 to A3.4).
//
//    taking ──► running ──► (abandoned) releasing ──► ended
//       │          │
//       └──────────┴─ fenced, or its writer failed: dropped ──► ended with the error
import type { Ownership } from "./ownership.ts";
import type { ReleaseTimeouts, Shard } from "./shard.ts";

/** What `take` is told while it takes a shard, and whom it tells. */
export interface TakeListener {
  /** Aborted when the shard is no longer wanted. */
  readonly signal: AbortSignal;
  readonly opened: (shard: Shard) => void;
  readonly onLost: (error: Error) => void;
}

export interface ClaimOptions {
  readonly ownership: Ownership;
  /** Takes a shard (A3.2): calls `opened` as soon as it can be fed, resolves when its lanes run. */
  readonly take: (number: number, taking: TakeListener) => Promise<unknown>;
  /** Ends the flow of events to a shard. */
  readonly unfollow: (number: number) => void;
  /** The lanes of the shard run. */
  readonly onRunning: () => void;
}

/** The timeouts of a shard that moves to another process: the next owner waits as long as both together (A3.2, A3.3). */
export const MOVE_TIMEOUTS: ReleaseTimeouts = { answersMs: 1_000, batchMs: 1_500 };

export class Claim {
  readonly number: number;
  /** Resolves when the shard is released; with the error if it was lost or could not be taken. Never rejects. */
  readonly ended: Promise<Error | undefined>;
  readonly #options: ClaimOptions;
  readonly #abandoned = new AbortController();
  #timeouts: ReleaseTimeouts = MOVE_TIMEOUTS;
  #shard: Shard | undefined;
  #isRunning = false;

  constructor(number: number, options: ClaimOptions) {
    this.number = number;
    this.#options = options;
    this.ended = this.#run();
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }
  /** Aborted by `abandon`. */
  get signal(): AbortSignal {
    return this.#abandoned.signal;
  }

  /** Lets go of the shard: it is no longer wanted here. */
  abandon(timeouts: ReleaseTimeouts = this.#timeouts): void {
    this.#timeouts = timeouts;
    this.#abandoned.abort();
  }

  async #run(): Promise<Error | undefined> {
    const { number, signal } = this;
    const { take, unfollow, ownership } = this.#options;
    let failure: Error | undefined;
    try {
      const lost = Promise.withResolvers<Error>();
      const taking = take(number, { signal, opened: (shard) => this.#opened(shard), onLost: lost.resolve });
      // If the shard is lost while it is taken, `taking` may never settle.
      failure = await Promise.race([taking.then(() => undefined), lost.promise]);
      if (failure === undefined && !signal.aborted) failure = await this.#runUntil(lost.promise);
      unfollow(number);
      if (failure === undefined) await this.#shard?.release(this.#timeouts);
      else await this.#shard?.drop();
      await taking.catch(() => {});
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    // Again: `take` may have begun to follow the events of a shard after it was lost.
    unfollow(number);
    ownership.closed(number);
    return failure;
  }

  #opened(shard: Shard): void {
    this.#shard = shard;
    this.#options.ownership.opened(shard);
  }

  /** Resolves when the claim is abandoned, or with the error when the shard is lost. */
  async #runUntil(lost: Promise<Error>): Promise<Error | undefined> {
    const abandoned = new Promise<undefined>((resolve) =>
      this.signal.addEventListener("abort", () => resolve(undefined))
    );
    this.#isRunning = true;
    this.#options.onRunning();
    const failure = await Promise.race([lost, abandoned]);
    this.#isRunning = false;
    return failure;
  }
}
