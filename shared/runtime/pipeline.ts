// The requests of one connection. A client may send the next ones before it has the answer to the first, and each of them takes
// memory while it waits, so only so many may wait. A connection that has to rest begins none meanwhile.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Far above what clients pipeline. */
const MOST_UNANSWERED = 100;

const pipelines = new WeakMap<object, Pipeline>();

/** The same one for all requests of a connection. */
export function pipelineOf(socket: Socket): Pipeline {
  let pipeline = pipelines.get(socket);
  if (pipeline === undefined) pipelines.set(socket, pipeline = new Pipeline(socket));
  return pipeline;
}

export class Pipeline {
  readonly #socket: Socket;
  #unanswered = 0;
  #latest: ServerResponse | undefined;
  /** The latest request, if it has a body. */
  #arriving: IncomingMessage | undefined;
  /** Monotonic ms; 0 for a connection that never had to rest. */
  #restsUntil = 0;
  #isOver = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** The answer to the latest request. */
  get latest(): ServerResponse | undefined {
    return this.#latest;
  }

  /** Whether this connection has had its last request. What comes after it is not read as a request. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Makes the present request the last one, as its end may be elsewhere than it seems. */
  end(): void {
    this.#isOver = true;
  }

  /**
   * `idle`: it has had a request, and every request its answer. `unfinished`: nothing is asked yet, as the first request, or the only one
   * that waits, is not whole. `busy`: an answer is due.
   */
  get state(): "idle" | "unfinished" | "busy" {
    if (this.#latest === undefined) return "unfinished";
    if (this.#unanswered === 0) return "idle";
    return this.#unanswered === 1 && this.#arriving?.complete === false ? "unfinished" : "busy";
  }

  /**
   * Takes one more request, whose answer this will be; false if too many wait already, and the connection must be closed. `arriving`: the
   * request, if it has a body.
   */
  enter(answer: ServerResponse, arriving?: IncomingMessage): boolean {
    if (this.#unanswered >= MOST_UNANSWERED) return false;
    this.#unanswered++;
    this.#latest = answer;
    this.#arriving = arriving;
    answer.once("close", () => this.#unanswered--);
    return true;
  }

  /** Begins no request of this connection for so long, ms. Rests add up, so a client gains nothing by pipelining. */
  rest(ms: number): void {
    this.#restsUntil = Math.max(this.#restsUntil, performance.now()) + ms;
  }

  /** Begins a request at once, or when the connection has rested. Never, if the client has gone by then. */
  inTurn(begin: () => void): void {
    const ms = this.#restsUntil === 0 ? 0 : this.#restsUntil - performance.now();
    if (ms <= 0) return begin();
    setTimeout(() => this.#socket.destroyed || this.inTurn(begin), ms).unref();
  }
}
