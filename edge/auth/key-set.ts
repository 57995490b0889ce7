// An issuer's keys (RFC 7517). They are fetched anew for a key that is not among them; known keys stay in use while the issuer is
// down. One fetch is in flight at a time, and if the issuer hangs, one request waits for it and the others do not. Anyone can make up key
// ids: who comes when there is no fetch left waits for the next one, in fair shares.

import { createLocalJWKSet, errors } from "jose";
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import type { FlightsOptions } from "../../shared/flights.ts";
import { pause, waitAtMost } from "../../shared/pause.ts";
import { FairShares } from "../../shared/shares/fair-shares.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { HubError } from "../answers/hub-error.ts";
import { type LineLog, literal } from "./log-text.ts";
import { createOutage } from "./outage.ts";
import { createTries } from "./tries.ts";

export interface KeySetOptions {
  readonly issuer: string;
  /** Fetches the key set in so many ms; rejects if the issuer is down, or its answer is not a key set. */
  readonly load: (withinMs: number) => Promise<JSONWebKeySet>;
  readonly logger: LineLog;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Keys this old are fetched anew in the background, ms. Default 10 min: a revoked key still counts for that long. */
  readonly maxAgeMs?: number | undefined;
  /** What one fetch may take, ms. Default 5 s. */
  readonly deadlineMs?: number | undefined;
  /** Lets a fetch go on when the request that began it is over. */
  readonly keep?: FlightsOptions["keep"];
  /** Default `pause`. */
  readonly wait?: (ms: number) => Promise<void>;
}

type Key = Awaited<ReturnType<JWTVerifyGetKey>>;

export interface KeySet {
  /**
   * Finds the key of a token. `claim`: who sent it; without one the request does not wait for its turn.
   * @throws {HubError} "unavailable" if that is not known; {errors.JWKSNoMatchingKey}
   */
  readonly find: (...asked: [...Parameters<JWTVerifyGetKey>, claim?: Claim]) => Promise<Key>;
  /** Resolves after a fetch that began no earlier than the call. @throws {HubError} "unavailable" */
  readonly renew: (claim?: Claim) => Promise<void>;
  /** Fetches the keys if there are none. Never rejects. */
  fetch(): Promise<void>;
  /** What to throw where a key itself is wrong, which is not the token's fault; it is logged, once a minute at most. */
  unusable(error: unknown): HubError;
}

/** Fetches at once, and the time after which there is one more, ms: anyone can make up key ids. */
const TRIES = 5;
const TRY_EVERY_MS = 2_000;
const DEADLINE_MS = 5_000;
/** How long others wait for a fetch that another request began, and how long a fetch may take that is not slow, ms. */
const SLOW_MS = 1_000;
/** How long a request waits for its own fetch after one that hung, ms. */
const DOUBT_MS = 250;
const COMPLAINT_EVERY_MS = 60_000;
/** Requests that wait until there is a fetch again. */
const MOST_WAITING = 256;
/** How often one waits for that. */
const MOST_WAITS = 2;

interface Fetch {
  readonly begunAt: number;
  /** Never rejects, but may never settle: a Worker's runtime may drop it. */
  ended: Promise<void>;
  outcome: "fetched" | "failed" | undefined;
}

export function createKeySet(options: KeySetOptions): KeySet {
  return new IssuerKeys(options);
}

class IssuerKeys implements KeySet {
  readonly #options: KeySetOptions;
  readonly #deadlineMs: number;
  readonly #tries;
  readonly #outage;
  #keys: JWTVerifyGetKey | undefined;
  #loadedAt = -Infinity;
  /** The fetch in flight, or one that was dropped. */
  #current: Fetch | undefined;
  /** When the last fetch began that brought keys. */
  #fetchedFrom = -Infinity;
  readonly #seats = new FairShares<never>({
    most: MOST_WAITING,
    of: { proven: 0, slow: 0, new: MOST_WAITING, failing: 0 },
    // Many that make up key ids leave one seat for each other client.
    forNewcomers: 1 / 4,
    // A Worker's runtime may drop who waits.
    lost: { now: () => this.#options.now(), afterMs: MOST_WAITS * TRY_EVERY_MS },
  });
  /** The last fetch brought nothing. */
  #failed = false;
  /** The last fetch brought nothing, and took long. */
  #hung = false;
  #complainedAt = -Infinity;

  constructor(options: KeySetOptions) {
    const { issuer, logger, now, deadlineMs = DEADLINE_MS } = options;
    this.#options = options;
    this.#deadlineMs = deadlineMs;
    this.#tries = createTries({ most: TRIES, everyMs: TRY_EVERY_MS, now });
    this.#outage = createOutage({
      what: `The keys of issuer ${issuer} cannot be fetched`,
      end: `The keys of issuer ${issuer} can be fetched`,
      logger,
      now,
    });
  }

  readonly find: KeySet["find"] = async (header, token, claim) => {
    const { now, maxAgeMs = 600_000 } = this.#options;
    const calledAt = now();
    if (this.#keys !== undefined) {
      const isOld = calledAt - this.#loadedAt >= maxAgeMs;
      if (isOld && this.#inFlight() === undefined) void this.#next(calledAt).catch(() => {});
      const key = await this.#pick(header, token);
      if (key !== undefined) return key;
    }
    // The issuer may have made the key since. Without a later answer of the issuer, the token may be good.
    for (;;) {
      const isLater = await this.#next(calledAt, claim);
      const key = await this.#pick(header, token);
      if (key !== undefined) return key;
      if (isLater) throw new errors.JWKSNoMatchingKey();
    }
  };

  readonly renew: KeySet["renew"] = async (claim) => {
    const calledAt = this.#options.now();
    while (!await this.#next(calledAt, claim));
  };

  async fetch(): Promise<void> {
    if (this.#keys === undefined) await this.#next(this.#options.now()).catch(() => {});
  }

  unusable(error: unknown): HubError {
    const { issuer, logger, now } = this.#options;
    if (now() - this.#complainedAt >= COMPLAINT_EVERY_MS) {
      this.#complainedAt = now();
      const message = error instanceof Error ? error.message : String(error);
      logger.warn(literal(`A key of issuer ${issuer} cannot be used: ${message}`));
    }
    return this.#unavailable(error);
  }

  /** The key of a token; undefined if it is not among those that are known. What is wrong with a key is not the token's fault. */
  async #pick(...asked: Parameters<JWTVerifyGetKey>): Promise<Awaited<ReturnType<JWTVerifyGetKey>> | undefined> {
    try {
      return await this.#keys?.(...asked);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
      if (error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      throw this.unusable(error);
    }
  }

  /**
   * Waits for the fetch in flight, or for a new one; yields whether it began at this time or later, as the answer of an earlier one
   * may be older than the token's key.
   */
  async #next(calledAt: number, claim?: Claim): Promise<boolean> {
    let own: Fetch | undefined;
    let fetch = this.#inFlight();
    for (let waits = 0; fetch === undefined; waits++) {
      fetch = own = this.#begin();
      if (fetch !== undefined) break;
      if (claim === undefined || this.#failed || waits === MOST_WAITS) throw this.#unavailable();
      await this.#untilNextTry(claim);
      // Another request has fetched meanwhile.
      if (this.#fetchedFrom > calledAt) return true;
      fetch = this.#inFlight();
    }
    await this.#wait(fetch, fetch === own);
    if (fetch.outcome !== "fetched") throw this.#unavailable();
    return fetch.begunAt >= calledAt;
  }

  #inFlight(): Fetch | undefined {
    const { now } = this.#options;
    // A fetch that has had more time than there is was dropped with its request.
    if (this.#current !== undefined && now() - this.#current.begunAt > this.#deadlineMs + SLOW_MS) this.#drop();
    return this.#current;
  }

  #drop(): void {
    this.#current = undefined;
    this.#tries.end();
  }

  /** Waits until there is a fetch again. @throws {HubError} "unavailable": too many of the same requester wait */
  async #untilNextTry(claim: Claim): Promise<void> {
    const { wait = pause } = this.#options;
    const seat = this.#seats.tryEnter(claim);
    if (seat === undefined) throw this.#unavailable();
    try {
      await wait(this.#tries.waitS() * 1_000);
    } finally {
      this.#seats.leave(seat);
    }
  }

  /** Begins a fetch; undefined if there is none left now. */
  #begin(): Fetch | undefined {
    const { now, keep = () => {} } = this.#options;
    if (!this.#tries.begin()) return undefined;
    const fetch: Fetch = { begunAt: now(), ended: Promise.resolve(), outcome: undefined };
    this.#current = fetch;
    fetch.ended = this.#run(fetch);
    keep(fetch.ended);
    return fetch;
  }

  async #run(fetch: Fetch): Promise<void> {
    const { load, now } = this.#options;
    try {
      this.#keys = createLocalJWKSet(await load(this.#deadlineMs));
      this.#loadedAt = now();
      this.#fetchedFrom = fetch.begunAt;
      fetch.outcome = "fetched";
      this.#hung = this.#failed = false;
      this.#outage.over();
    } catch (error) {
      fetch.outcome = "failed";
      this.#failed = true;
      this.#hung = now() - fetch.begunAt >= Math.min(SLOW_MS, this.#deadlineMs);
      this.#outage.failed(error);
    }
    if (this.#current === fetch) this.#drop();
  }

  /** Waits for a fetch: as long as it takes if it is the request's own, and a short time for another's or in doubt. */
  async #wait({ begunAt, ended }: Fetch, own: boolean): Promise<void> {
    const { now } = this.#options;
    const most = this.#hung ? DOUBT_MS : own ? this.#deadlineMs + SLOW_MS : SLOW_MS;
    const leftMs = most - (now() - begunAt);
    if (leftMs <= 0) return;
    try {
      await waitAtMost(leftMs, ended);
    } catch {
      // The runtime says that the request that fetched has ended without its work.
      if (this.#current?.ended === ended) this.#drop();
    }
  }

  #unavailable(cause?: unknown): HubError {
    const { now } = this.#options;
    const fetch = this.#current;
    const retryAfterS = fetch === undefined
      ? this.#tries.waitS()
      : Math.max(1, Math.ceil((this.#deadlineMs - (now() - fetch.begunAt)) / 1_000));
    return new HubError(
      "unavailable",
      "The keys of the token's issuer cannot be fetched now; try again a little later.",
      {
        cause,
        retryAfterS,
      },
    );
  }
}
