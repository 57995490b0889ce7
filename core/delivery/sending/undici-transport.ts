// Deliveries by undici's dispatch on Node (`fetch` is 8–12 × slower there). One pool an origin, an LRU of them.
import { type buildConnector, type Dispatcher, Pool } from "undici";
import type { NoteBlocked } from "../../../shared/outbound/blocked-calls.ts";
import { ForbiddenAddressError } from "../../../shared/outbound/guard.ts";
import { DeadlineList, type Timed } from "./timers.ts";
import type { Post, Transport } from "./transport.ts";

export interface UndiciTransportOptions {
  /** Dials nothing that the guard forbids (shared/runtime/guarded-connect.ts). */
  readonly connect: buildConnector.connector;
  /** From the start of an attempt to the head of its answer, ms. */
  readonly timeoutMs: number;
  /** Connections to one origin. */
  readonly connectionsPerOrigin: number;
  /** Told of each attempt that the guard refuses. */
  readonly onBlocked?: NoteBlocked;
  readonly now?: () => number;
}

const BODY_BYTES = 64 * 1024;
const BODY_MS = 1_000;
const TICK_MS = 50;
/** Early answers (1xx) before the answer; more are a flood. */
const MOST_EARLY = 100;
const MOST_POOLS = 4_096;

/** The answer came, its body is not worth more reading: the connection is given up. */
const ENOUGH = new Error("enough of the body was read");
const HELD = new Error("not sent: its shard may be another process's");
const TIMED_OUT = new Error("timed out");
const FLOODED = new Error("too many early answers");

export function createUndiciTransport(options: UndiciTransportOptions): Transport {
  const now = options.now ?? (() => performance.now());
  const pools = new Map<string, Pool>();
  const heads = new DeadlineList<Attempt>(options.timeoutMs);
  const bodies = new DeadlineList<Attempt>(BODY_MS);
  let ticking: NodeJS.Timeout | undefined;

  function tick(): void {
    const time = now();
    for (const attempt of heads.due(time)) attempt.timeOut();
    for (const attempt of bodies.due(time)) attempt.cut();
    if (heads.empty && bodies.empty) {
      clearInterval(ticking);
      ticking = undefined;
    }
  }

  function poolOf(origin: string): Pool {
    let pool = pools.get(origin);
    if (pool !== undefined) {
      // Least recently used first, once that matters.
      if (pools.size > MOST_POOLS / 2) {
        pools.delete(origin);
        pools.set(origin, pool);
      }
      return pool;
    }
    pool = new Pool(origin, {
      connections: options.connectionsPerOrigin,
      pipelining: 1,
      connect: options.connect,
      // Both deadlines are this file's: one coarse wheel instead of a timer per request.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16 * 1024,
    });
    pools.set(origin, pool);
    if (pools.size > MOST_POOLS) {
      for (const [key, other] of pools) {
        if (other === pool || other.stats.running + other.stats.pending > 0) continue;
        discard(key, other);
        break;
      }
    }
    return pool;
  }

  /** Others that are under way in it end as they would. */
  function discard(origin: string, pool: Pool): void {
    if (pools.get(origin) === pool) pools.delete(origin);
    pool.close().catch(() => {});
  }

  class Attempt implements Dispatcher.DispatchHandler, Timed {
    deadline = 0;
    previous: Timed | undefined;
    next: Timed | undefined;
    readonly #post: Post;
    #controller: Dispatcher.DispatchController | undefined;
    #status = 0;
    #retryAfter: string | undefined;
    #bytes = 0;
    #early = 0;
    #settled = false;

    constructor(post: Post) {
      this.#post = post;
    }

    get settled(): boolean {
      return this.#settled;
    }

    onRequestStart(controller: Dispatcher.DispatchController): void {
      this.#controller = controller;
      if (this.#settled) controller.abort(TIMED_OUT);
      else if (!this.#post.mayGo()) controller.abort(HELD);
    }
    onResponseStart(
      _controller: Dispatcher.DispatchController,
      status: number,
      headers: Record<string, unknown>,
    ): void {
      if (status < 200) {
        if (++this.#early <= MOST_EARLY) return;
        this.#fail(FLOODED.message);
        this.#controller?.abort(FLOODED);
        return;
      }
      this.#status = status;
      const retryAfter = headers["retry-after"];
      const first: unknown = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter;
      this.#retryAfter = typeof first === "string" ? first : undefined;
      heads.remove(this);
      bodies.add(this, now());
    }
    onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
      this.#bytes += chunk.length;
      if (this.#bytes > BODY_BYTES) this.cut();
    }
    onResponseEnd(): void {
      this.#settle();
    }
    onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
      if (this.#settled) return;
      // §7: the status is the answer; what becomes of the body is of no interest.
      if (this.#status !== 0) return this.#settle();
      if (error instanceof ForbiddenAddressError) {
        options.onBlocked?.({ path: "delivery", reason: error.reason, host: this.#post.url.host });
      }
      this.#fail(reasonOf(error));
    }

    /** The head of the answer is late. */
    timeOut(): void {
      this.#fail("timed out");
      this.#controller?.abort(TIMED_OUT);
    }
    /** The body is too long or too slow. */
    cut(): void {
      this.#settle();
      this.#controller?.abort(ENOUGH);
    }

    #settle(): void {
      if (this.#settled) return;
      this.#settled = true;
      bodies.remove(this);
      this.#post.answered(this.#status, this.#retryAfter);
    }
    #fail(reason: string): void {
      if (this.#settled) return;
      this.#settled = true;
      heads.remove(this);
      this.#post.failed(reason);
    }
  }

  return {
    post(post) {
      const attempt = new Attempt(post);
      heads.add(attempt, now());
      ticking ??= setInterval(tick, TICK_MS);
      const { origin, target } = post.url;
      try {
        const pool = poolOf(origin);
        pool.dispatch({ method: "POST", path: target, headers: post.headers, body: post.body }, attempt);
        // A request it cannot write (a header with a line break) fails within the call, and undici (7.30) takes the connection
        // that was to carry it for busy, for ever.
        if (attempt.settled) discard(origin, pool);
      } catch (error) {
        // No pool can be made of this origin; the lane must hear of it like of any failure.
        queueMicrotask(() =>
          attempt.onResponseError(undefined as never, error instanceof Error ? error : new Error(String(error)))
        );
      }
    },
    async close() {
      clearInterval(ticking);
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
    },
  };
}

/**
 * A short phrase; never more than what the socket said. The subscriber may read it (`lastError`, WIRE §5), so what the guard
 * refused reads as a name without an address: what names mean inside this network is nobody's business (§7).
 */
function reasonOf(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return "connection broken";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return NO_ADDRESS;
    case "UND_ERR_CONNECT_TIMEOUT":
      return "connecting timed out";
    default:
      return error instanceof ForbiddenAddressError ? NO_ADDRESS : code ?? error.message.slice(0, 200);
  }
}

const NO_ADDRESS = "no address to call";
