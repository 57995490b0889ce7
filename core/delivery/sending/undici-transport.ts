// The delivery transport by undici's dispatch (`fetch` is 8 to 12 times slower on Node): one pool for each origin.
import { ANSWER_HEAD_MAX_BYTES } from "../../../shared/outbound/answer-head.ts";
import { type buildConnector, Pool } from "../../../shared/undici.ts";
import type { NoteBlocked } from "../../../shared/outbound/blocked-calls.ts";
import type { Post, Transport } from "./transport.ts";
import { Exchange, ExchangeDeadlines } from "./undici-exchange.ts";

export interface UndiciTransportOptions {
  /** Dials no address that the guard forbids (shared/runtime/guarded-connect.ts). */
  readonly connect: buildConnector.connector;
  /** From the start of an attempt to the head of its answer, ms. */
  readonly timeoutMs: number;
  /** Connections to one origin. */
  readonly connectionsPerOrigin: number;
  /** Called for each attempt that the guard refuses. */
  readonly onBlocked?: NoteBlocked;
  /** Monotonic, ms. Default `performance.now`. */
  readonly now?: () => number;
}

/** Origins with a pool of their own; the least recently used one that is idle leaves. */
const MOST_POOLS = 4_096;

export function createUndiciTransport(options: UndiciTransportOptions): Transport {
  return new UndiciTransport(options);
}

class UndiciTransport implements Transport {
  readonly #pools: Pools;
  readonly #deadlines: ExchangeDeadlines;
  readonly #onBlocked: NoteBlocked | undefined;

  constructor({ connect, connectionsPerOrigin, timeoutMs, onBlocked, now }: UndiciTransportOptions) {
    this.#pools = new Pools(connect, connectionsPerOrigin);
    this.#deadlines = new ExchangeDeadlines(timeoutMs, now ?? (() => performance.now()));
    this.#onBlocked = onBlocked;
  }

  post(post: Post): void {
    const exchange = new Exchange(post, this.#deadlines, this.#onBlocked);
    this.#deadlines.begin(exchange);
    const { origin, target } = post.url;
    try {
      const pool = this.#pools.of(origin);
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

/** One pool of connections an origin, the least recently used first. */
class Pools {
  readonly #connect: buildConnector.connector;
  readonly #connections: number;
  readonly #pools = new Map<string, Pool>();

  constructor(connect: buildConnector.connector, connections: number) {
    this.#connect = connect;
    this.#connections = connections;
  }

  of(origin: string): Pool {
    const pool = this.#pools.get(origin);
    if (pool === undefined) return this.#open(origin);
    // The order matters only when the bound is near.
    if (this.#pools.size > MOST_POOLS / 2) {
      this.#pools.delete(origin);
      this.#pools.set(origin, pool);
    }
    return pool;
  }

  /** No request takes this pool any longer; the requests in it end as they would. */
  discard(origin: string, pool: Pool): void {
    if (this.#pools.get(origin) === pool) this.#pools.delete(origin);
    pool.close().catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }

  #open(origin: string): Pool {
    const pool = new Pool(origin, {
      connections: this.#connections,
      pipelining: 1,
      connect: this.#connect,
      // Exchanges have their deadlines: one coarse interval instead of a timer for each request.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: ANSWER_HEAD_MAX_BYTES,
    });
    this.#pools.set(origin, pool);
    if (this.#pools.size > MOST_POOLS) this.#discardIdle(pool);
    return pool;
  }

  #discardIdle(newest: Pool): void {
    for (const [origin, pool] of this.#pools) {
      if (pool === newest || pool.stats.running + pool.stats.pending > 0) continue;
      return this.discard(origin, pool);
    }
  }
}
