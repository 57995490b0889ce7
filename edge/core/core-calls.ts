// Calls to the cores: each is repeated, at one core after the other, until one has answered or patience ends (A3.8).

import { type HttpClient, HttpClientError, type HttpStream } from "../../shared/http-client.ts";
import { refusalIn, type Reply, unanswered } from "./core-answers.ts";
import { type CoreRequest, type Session, SessionError, type Sessions } from "./session.ts";

export interface CoreCallsOptions {
  readonly http: HttpClient;
  readonly sessions: Sessions;
  /** CORE_URL: the first that answers is kept until it fails. */
  readonly origins: readonly string[];
  /** Monotonic ms. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  /** Called at each repetition. */
  readonly onRetry?: () => void;
}

/** Makes the request of one try, for the session in which it is sent. */
export type MakeRequest = (session: Session) => CoreRequest | Promise<CoreRequest>;

/** Longer than the core itself waits for its log and replica (5 s, A3.11). */
const TRY_MS = 7_000;

/** How long to wait before try `tries` + 1, ms; null: give up. Full jitter over a doubling gap of at most 1 s. */
export function retryPause(tries: number, elapsedMs: number, patienceMs: number, random: number): number | null {
  const gap = Math.min(1_000, 50 * 2 ** (tries - 1));
  const pauseMs = gap / 2 + random * gap / 2;
  return elapsedMs + pauseMs < patienceMs ? pauseMs : null;
}

export class CoreCalls {
  readonly #options: CoreCallsOptions;
  /** The place in `origins` of the core in use; after the last place comes the first. */
  #current = 0;

  constructor(options: CoreCallsOptions) {
    this.#options = options;
  }

  /** The body of a core's 200. `make` is called before each try. @throws {CoreError} */
  call(make: MakeRequest, patienceMs: number): Promise<Uint8Array> {
    const { http } = this.#options;
    return this.#persist(make, patienceMs, async (request, origin, timeoutMs): Promise<Reply<Uint8Array>> => {
      const reply = await http.send({ ...request, origin, timeoutMs });
      return reply.status === 200 ? { kind: "answer", value: reply.body } : refusalIn(reply);
    });
  }

  /** As `call`, for an answer that is read as it comes. @throws {CoreError} */
  open(sent: CoreRequest, patienceMs: number): Promise<HttpStream> {
    const { http } = this.#options;
    return this.#persist(() => sent, patienceMs, async (request, origin, timeoutMs): Promise<Reply<HttpStream>> => {
      const stream = await http.stream({ ...request, origin, timeoutMs });
      if (stream.status === 200) return { kind: "answer", value: stream };
      return refusalIn({ status: stream.status, body: await wholeOf(stream) });
    });
  }

  /** Asks a core, and the next one while there is no answer, until patience ends. */
  async #persist<T>(make: MakeRequest, patienceMs: number, send: Send<T>): Promise<T> {
    const { origins, now, random, onRetry, pause } = this.#options;
    const begun = now();
    for (let tries = 1;; tries++) {
      const at = this.#current;
      const leftMs = Math.max(1, patienceMs - (now() - begun));
      const answer = await this.#inSession(origins[at % origins.length]!, Math.min(TRY_MS, leftMs), make, send);
      if (answer.kind === "answer") return answer.value;
      if (answer.kind === "refused") throw answer.error;
      // Another call may have moved on already.
      if (this.#current === at) this.#current = (at + 1) % origins.length;
      const pauseMs = retryPause(tries, now() - begun, patienceMs, random());
      if (pauseMs === null) throw answer.error;
      onRetry?.();
      await pause(pauseMs);
    }
  }

  /** One request in a session with this core; in a new session if the core does not know the first. */
  async #inSession<T>(origin: string, timeoutMs: number, make: MakeRequest, send: Send<T>): Promise<Reply<T>> {
    const { sessions } = this.#options;
    try {
      for (let again = true;; again = false) {
        const session = await sessions.with(origin, timeoutMs);
        const reply = await send(await session.sign(await make(session)), origin, timeoutMs);
        if (reply.kind === "answer" || reply.error.code !== "no_session") return reply;
        sessions.forget(origin, session);
        if (!again) return unanswered(reply.error);
      }
    } catch (cause) {
      if (cause instanceof HttpClientError || cause instanceof SessionError) return unanswered(cause);
      throw cause;
    }
  }
}

type Send<T> = (request: CoreRequest, origin: string, timeoutMs: number) => Promise<Reply<T>>;

async function wholeOf({ body }: HttpStream): Promise<Uint8Array> {
  try {
    return new Uint8Array(await new Response(body).arrayBuffer());
  } catch (cause) {
    throw new HttpClientError("the answer broke off", { cause });
  }
}
