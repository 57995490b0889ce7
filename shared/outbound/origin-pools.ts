// Pools of connections, one for each origin. Their number is bounded: when one more is wanted, the requester with the most of them gives
// up its least recently used. So a requester of any number of origins closes its own connections, and nobody else's. When an origin's
// name no longer has the address of a connection, its pool is replaced: the requests in it end as they would, and the next one is dialled
// anew.

import { type buildConnector, Pool } from "../undici.ts";
import { ANSWER_HEAD_MAX_BYTES } from "./answer-head.ts";

/** Where a connection is to go, as undici says it. */
export type Target = Parameters<buildConnector.connector>[0];

/** Who connects. */
export interface Connecting {
  /** On whose behalf the name is looked up (shared/shares/requester.ts); without one the name stands for itself. */
  readonly requester?: string | undefined;
  /** Called at most once, when the name no longer has the address of the connection: no new request should go there. */
  readonly onMoved?: () => void;
}

/** A connector of undici that also hears who connects; it dials nothing that the guard forbids (shared/runtime/guarded-connect.ts). */
export type GuardedConnector = (target: Target, callback: buildConnector.Callback, by?: Connecting) => void;

export interface OriginPoolsOptions {
  readonly connect: GuardedConnector;
  /** Connections to one origin; more requests wait. */
  readonly connections: number;
  /** Origins with a pool of their own, while those of one requester are not all busy. */
  readonly most: number;
}

interface Entry {
  readonly pool: Pool;
  /** Who asked last: the look-up of a new connection counts as this one's. */
  requester: string | undefined;
}

export class OriginPools {
  readonly #options: OriginPoolsOptions;
  readonly #entries = new Map<string, Entry>();
  /** The same by who asked last, and of each the least recently used first. */
  readonly #ofRequester = new Map<string, Map<string, Entry>>();
  /** Pools that take no request any longer, until their requests have ended. */
  readonly #leaving = new Set<Pool>();

  constructor(options: OriginPoolsOptions) {
    this.#options = options;
  }

  /** @throws {Error} if undici cannot make a pool of this origin */
  of(origin: string, requester: string | undefined): Pool {
    const known = this.#entries.get(origin);
    // The order matters only when the bound is near.
    const isNear = this.#entries.size > this.#options.most / 2;
    if (known !== undefined && known.requester === requester && !isNear) return known.pool;
    if (known !== undefined) this.#forget(origin, known);
    const entry = known ?? this.#open(origin);
    entry.requester = requester;
    this.#keep(origin, entry);
    if (this.#entries.size > this.#options.most) this.#discardIdle(entry.pool);
    return entry.pool;
  }

  /** No request takes this pool any longer; the requests in it end as they would. */
  discard(origin: string, pool: Pool): void {
    const entry = this.#entries.get(origin);
    if (entry?.pool === pool) this.#forget(origin, entry);
    if (this.#leaving.has(pool)) return;
    this.#leaving.add(pool);
    void pool.close().catch(() => {}).finally(() => this.#leaving.delete(pool));
  }

  async close(): Promise<void> {
    const pools = [...this.#entries.values()].map(({ pool }) => pool);
    await Promise.all([...pools, ...this.#leaving].map((pool) => pool.destroy()));
    this.#entries.clear();
    this.#ofRequester.clear();
  }

  #open(origin: string): Entry {
    const { connect, connections } = this.#options;
    const pool: Pool = new Pool(origin, {
      connections,
      pipelining: 1,
      connect: (target, callback) =>
        connect(target, callback, { requester: entry.requester, onMoved: () => this.discard(origin, pool) }),
      // Exchanges have their own deadlines.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: ANSWER_HEAD_MAX_BYTES,
    });
    const entry: Entry = { pool, requester: undefined };
    return entry;
  }

  #keep(origin: string, entry: Entry): void {
    const { requester = "" } = entry;
    this.#entries.set(origin, entry);
    const own = this.#ofRequester.get(requester);
    if (own === undefined) this.#ofRequester.set(requester, new Map([[origin, entry]]));
    else own.set(origin, entry);
  }

  #forget(origin: string, { requester = "" }: Entry): void {
    this.#entries.delete(origin);
    const own = this.#ofRequester.get(requester)!;
    own.delete(origin);
    if (own.size === 0) this.#ofRequester.delete(requester);
  }

  #discardIdle(newest: Pool): void {
    let most = new Map<string, Entry>();
    for (const own of this.#ofRequester.values()) if (own.size > most.size) most = own;
    for (const [origin, { pool }] of most) {
      if (pool === newest || pool.stats.running + pool.stats.pending > 0) continue;
      return this.discard(origin, pool);
    }
  }
}
