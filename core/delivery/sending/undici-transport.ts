// The delivery transport by undici's dispatch (`fetch` is 8 to 12 times slower on Node): one pool for each origin.
import type { NoteBlocked } from "../../../shared/outbound/blocked-calls.ts";
import { type GuardedConnector, OriginPools } from "../../../shared/outbound/origin-pools.ts";
import type { Post, Transport } from "./transport.ts";
import { Exchange, ExchangeDeadlines } from "./undici-exchange.ts";

export interface UndiciTransportOptions {
  /** Dials no address that the guard forbids (shared/runtime/guarded-connect.ts). */
  readonly connect: GuardedConnector;
  /** From the start of an attempt to the head of its answer, ms. */
  readonly timeoutMs: number;
  /** Connections to one origin. */
  readonly connectionsPerOrigin: number;
  /** Origins with a pool of their own. Default 4,096. */
  readonly mostPools?: number;
  /** Called for each attempt that the guard refuses. */
  readonly onBlocked?: NoteBlocked;
  /** Monotonic, ms. Default `performance.now`. */
  readonly now?: () => number;
}

const MOST_POOLS = 4_096;

export function createUndiciTransport(options: UndiciTransportOptions): Transport {
  return new UndiciTransport(options);
}

class UndiciTransport implements Transport {
  readonly #pools: OriginPools;
  readonly #deadlines: ExchangeDeadlines;
  readonly #onBlocked: NoteBlocked | undefined;

  constructor(
    { connect, connectionsPerOrigin, mostPools = MOST_POOLS, timeoutMs, onBlocked, now }: UndiciTransportOptions,
  ) {
    this.#pools = new OriginPools({
      connect,
      connections: connectionsPerOrigin,
      most: mostPools,
    });
    this.#deadlines = new ExchangeDeadlines(timeoutMs, now ?? (() => performance.now()));
    this.#onBlocked = onBlocked;
  }

  post(post: Post): void {
    const exchange = new Exchange(post, this.#deadlines, this.#onBlocked);
    this.#deadlines.begin(exchange);
    const { origin, target } = post.url;
    try {
      const pool = this.#pools.of(origin, post.requester);
      pool.dispatch({ method: "POST", path: target, headers: post.headers, body: post.body }, exchange);
      // A request that undici cannot write (a header with a line break) fails within the call. undici (7.30) then counts
      // its connection as busy for ever, so the pool is given up.
      if (exchange.isSettled) this.#pools.discard(origin, pool);
    } catch (error) {
      // undici cannot make a pool of this origin: the attempt fails like any other.
      const failure = error instanceof Error ? error : new Error(String(error));
      queueMicrotask(() => exchange.onResponseError(undefined, failure));
    }
  }

  async close(): Promise<void> {
    this.#deadlines.close();
    await this.#pools.close();
  }
}
