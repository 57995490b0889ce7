// One POST by undici's dispatch, and its answer. Thousands of exchanges share two lists of deadlines and one interval.
import type { Dispatcher } from "../../../shared/undici.ts";
import type { NoteBlocked } from "../../../shared/outbound/blocked-calls.ts";
import { ForbiddenAddressError } from "../../../shared/outbound/guard.ts";
import { socketReason } from "../../../shared/outbound/socket-reason.ts";
import { TURN_MS } from "../../../shared/turn.ts";
import { DeadlineList, type Timed } from "./timers.ts";
import type { Post } from "./transport.ts";

/** The most bytes of an answer's body that are read; the status is the answer (§7). */
const BODY_BYTES = 64 * 1024;
/** How long an answer's body is read. */
const BODY_MS = 1_000;
const TICK_MS = 50;
/** The most early answers (1xx) before the answer. */
const MOST_EARLY = 100;

/** The answer came and enough of its body was read: the connection is given up. */
const ENOUGH = new Error("enough of the body was read");
const UNCONFIRMED = new Error("not sent: its shard may be another process's");
const TIMED_OUT = new Error("timed out");
const FLOODED = new Error("too many early answers");

/** The deadlines of all exchanges of a transport: for the head of the answer, then for its body. */
export class ExchangeDeadlines {
  readonly now: () => number;
  readonly #heads: DeadlineList<Exchange>;
  readonly #bodies = new DeadlineList<Exchange>(BODY_MS);
  #ticking: NodeJS.Timeout | undefined;

  /** `timeoutMs`: from the start of an exchange to the head of its answer. `now`: monotonic, ms. */
  constructor(timeoutMs: number, now: () => number) {
    this.#heads = new DeadlineList(timeoutMs);
    this.now = now;
  }

  begin(exchange: Exchange): void {
    this.#heads.add(exchange, this.now());
    this.#ticking ??= setInterval(() => this.#tick(), TICK_MS);
  }
  headCame(exchange: Exchange): void {
    this.#heads.remove(exchange);
    this.#bodies.add(exchange, this.now());
  }
  /** The exchange failed before the head of its answer came. */
  failed(exchange: Exchange): void {
    this.#heads.remove(exchange);
  }
  answered(exchange: Exchange): void {
    this.#bodies.remove(exchange);
  }
  close(): void {
    clearInterval(this.#ticking);
  }

  #tick(): void {
    const time = this.now();
    const begun = performance.now();
    // What begins at once hangs until the same moment, and after each that ends another one begins: the rest waits for the next tick.
    const isOver = () => performance.now() - begun > TURN_MS;
    for (let due = this.#heads.next(time); due !== undefined; due = this.#heads.next(time)) {
      due.timeOut();
      if (isOver()) return;
    }
    for (let due = this.#bodies.next(time); due !== undefined; due = this.#bodies.next(time)) {
      due.cut();
      if (isOver()) return;
    }
    if (!this.#heads.empty || !this.#bodies.empty) return;
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }
}

export class Exchange implements Dispatcher.DispatchHandler, Timed {
  deadline = 0;
  previous: Timed | undefined;
  next: Timed | undefined;
  readonly #post: Post;
  readonly #deadlines: ExchangeDeadlines;
  readonly #onBlocked: NoteBlocked | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #bytes = 0;
  #early = 0;
  #isSettled = false;

  constructor(post: Post, deadlines: ExchangeDeadlines, onBlocked: NoteBlocked | undefined) {
    this.#post = post;
    this.#deadlines = deadlines;
    this.#onBlocked = onBlocked;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isSettled) controller.abort(TIMED_OUT);
    else if (!this.#post.mayGo()) controller.abort(UNCONFIRMED);
  }
  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
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
    this.#deadlines.headCame(this);
  }
  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > BODY_BYTES) this.cut();
  }
  onResponseEnd(): void {
    // After this call undici schedules an immediate that lets the connection go; ours comes behind it. An answer is often followed by a
    // request to the same origin, which would open another connection now.
    queueMicrotask(() => setImmediate(() => this.#settle()));
  }
  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#isSettled) return;
    // §7: the status is the answer, whatever becomes of the body.
    if (this.#status !== 0) return this.#settle();
    if (error instanceof ForbiddenAddressError) {
      this.#onBlocked?.({ path: "delivery", reason: error.reason, host: this.#post.url.host });
    }
    this.#fail(socketReason(error));
  }

  /** The head of the answer is late. */
  timeOut(): void {
    this.#fail(TIMED_OUT.message);
    this.#controller?.abort(TIMED_OUT);
  }
  /** The body of the answer is too long or too slow. */
  cut(): void {
    this.#settle();
    this.#controller?.abort(ENOUGH);
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#deadlines.answered(this);
    this.#post.answered(this.#status, this.#retryAfter);
  }
  #fail(reason: string): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#deadlines.failed(this);
    this.#post.failed(reason);
  }
}
