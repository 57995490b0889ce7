// The edge's side of shared/core-api.ts. Every operation gets its id here, once; it is repeated with the same id until the
// core has answered or patience ends (A3.8), and only the core's own 2xx makes one for the client.

import { frameContent } from "../../shared/content-frame.ts";
import { CALLER_HEADER, CORE_PATHS, REFUSALS } from "../../shared/core-api.ts";
import type {
  Caller,
  ClientIdentity,
  ContentAnswer,
  DeregisterOperation,
  IntentOperation,
  MoveOperation,
  Operation,
  OperationAnswer,
  OperationHead,
  PingOperation,
  RefusalCode,
  RegisterOperation,
  ResultOperation,
} from "../../shared/core-api.ts";
import { type HttpClient, HttpClientError, type HttpReply, type HttpStream } from "../../shared/http-client.ts";
import { randomToken } from "../../shared/random.ts";
import { sealingSubject, subscriptionIdByWebCrypto } from "../../shared/sealed-secret.ts";
import { type CoreRequest, type Session, SessionError, type Sessions } from "./session.ts";

/** An operation without its head, which the client makes; a secret is still open, and is sealed here. */
export type Wish = Unheaded<RegisterOperation | DeregisterOperation | IntentOperation | PingOperation>;
/** A result without its head and time: `challengedAt` is of the same clock as `monotonic`. */
export type VerificationReport = Omit<Unheaded<ResultOperation>, "elapsedMs"> & { readonly challengedAt: number };
type Unheaded<T> = T extends OperationHead ? Omit<T, keyof OperationHead> : never;

/** A move without its head. */
export type MoveWish = Unheaded<MoveOperation>;

export interface Content {
  readonly topic: string;
  /** Who publishes; null: the anonymous client. */
  readonly client: ClientIdentity | null;
  /** Idempotency-Key; null if none. */
  readonly key: string | null;
  readonly contentType: string;
  /** Allow-listed headers of the publisher, lower-case names; null if none. */
  readonly headers: Readonly<Record<string, string>> | null;
  readonly traceparent: string;
  readonly body: Uint8Array;
}

/** What is asked about one subscription, and by whom (WIRE §5). */
export interface Question {
  readonly pair: { readonly topic: string; readonly callback: string };
  readonly caller: Caller;
  /** Parameters for the core to read, as they came. */
  readonly given: readonly (readonly [name: string, value: string])[];
}

/** The core's refusal, or that no core took it. `message` may be shown to the requester. */
export class CoreError extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CoreError";
    this.code = code;
  }
}

/** All throw CoreError. */
export interface CoreClient {
  /** Makes the operation and its id, and yields both the answer and the id. */
  operate(wish: Wish): Promise<{ readonly id: string; readonly answer: OperationAnswer }>;
  /** Stores content durably. */
  publish(content: Content): Promise<ContentAnswer>;
  /** Reports what came of an intent; repeated for up to 60 s. */
  report(report: VerificationReport): Promise<void>;
  /** The status or the dead letters of a subscription, the core's JSON as it came. */
  ask(what: "subscriptions" | "deadLetters", question: Question): Promise<Uint8Array>;
  /** Moves a position; the core's JSON of the status after it. */
  move(wish: MoveWish): Promise<Uint8Array>;
  /** What a subscriber missed, as the core sends it: one page, or events that go on. */
  read(question: Question, form: "page" | "events"): Promise<HttpStream>;
  /** Whether any core is ready. Never throws. */
  isReady(): Promise<boolean>;
}

export interface CoreClientOptions {
  readonly http: HttpClient;
  readonly sessions: Sessions;
  /** CORE_URL: the first that answers is kept until it fails. */
  readonly origins: readonly string[];
  /** ms since 1970. */
  readonly clock: () => number;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  /** Told of each repetition. */
  readonly onRetry?: () => void;
}

/** A client is waiting: it can repeat the request itself. */
const REQUEST_PATIENCE_MS = 10_000;
/** A3.8: the core refuses what is over 90 s old. */
const REPORT_PATIENCE_MS = 60_000;
/** Longer than the core itself waits for its log and replica (5 s, A3.11). */
const TRY_MS = 7_000;
const READY_MS = 2_000;

/** How long to wait before try `tries` + 1, ms; null: give up. Full jitter over a doubling gap of at most 1 s. */
export function retryPause(tries: number, elapsedMs: number, patienceMs: number, random: number): number | null {
  const gap = Math.min(1_000, 50 * 2 ** (tries - 1));
  const pauseMs = gap / 2 + random * gap / 2;
  return elapsedMs + pauseMs < patienceMs ? pauseMs : null;
}

export function createCoreClient(options: CoreClientOptions): CoreClient {
  const { http, sessions, origins, clock, now } = options;
  let current = 0;

  /** Asks a core, and the next one while there is no answer, until patience ends. `attempt` gets what is left of it. */
  async function persist<T>(
    attempt: (origin: string, leftMs: number) => Promise<Reply<T>>,
    patienceMs: number,
  ): Promise<T> {
    const begun = now();
    for (let tries = 1;; tries++) {
      const at = current;
      const answer = await attempt(origins[at % origins.length]!, Math.max(1, patienceMs - (now() - begun)));
      if (answer.kind === "answer") return answer.value;
      if (answer.kind === "refused") throw answer.error;
      // Another call may have moved on already.
      if (current === at) current = (at + 1) % origins.length;
      const pauseMs = retryPause(tries, now() - begun, patienceMs, options.random());
      if (pauseMs === null) throw answer.error;
      options.onRetry?.();
      await options.pause(pauseMs);
    }
  }

  /** One request in a session with this core; in another one, if the core does not know the first any more. */
  async function inSession<T>(
    origin: string,
    leftMs: number,
    make: (session: Session) => CoreRequest | Promise<CoreRequest>,
    send: (request: CoreRequest) => Promise<Reply<T>>,
  ): Promise<Reply<T>> {
    try {
      for (let again = true;; again = false) {
        const session = await sessions.with(origin, Math.min(TRY_MS, leftMs));
        const reply = await send(await session.sign(await make(session)));
        if (reply.kind === "answer" || reply.error.code !== "no_session") return reply;
        sessions.forget(origin, session);
        if (!again) return unanswered(reply.error);
      }
    } catch (cause) {
      if (cause instanceof HttpClientError || cause instanceof SessionError) return unanswered(cause);
      throw cause;
    }
  }

  /** One request to the core, repeated until it is answered. `make` is called before each try. */
  function call(
    make: (session: Session) => CoreRequest | Promise<CoreRequest>,
    patienceMs: number,
  ): Promise<Uint8Array> {
    return persist<Uint8Array>(
      (origin, leftMs) =>
        inSession(origin, leftMs, make, async (request): Promise<Reply<Uint8Array>> => {
          const reply = await http.send({ ...request, origin, timeoutMs: Math.min(TRY_MS, leftMs) });
          return reply.status === 200 ? { kind: "answer", value: reply.body } : refusalIn(reply);
        }),
      patienceMs,
    );
  }

  /** The same for an answer that is read as it comes. */
  function open(sent: CoreRequest, patienceMs: number): Promise<HttpStream> {
    return persist<HttpStream>(
      (origin, leftMs) =>
        inSession(origin, leftMs, () => sent, async (request): Promise<Reply<HttpStream>> => {
          const stream = await http.stream({ ...request, origin, timeoutMs: Math.min(TRY_MS, leftMs) });
          if (stream.status === 200) return { kind: "answer", value: stream };
          return refusalIn({ status: stream.status, body: await wholeOf(stream) });
        }),
      patienceMs,
    );
  }

  const head = (prefix: string): OperationHead => ({ id: `${prefix}_${randomToken(16)}`, madeAt: clock() });

  return {
    operate: async (wish) => {
      const operation = { ...head("op"), ...wish };
      const make = (session: Session) => sealedRequest(operation, session);
      return { id: operation.id, answer: parseOperationAnswer(await call(make, REQUEST_PATIENCE_MS)) };
    },
    publish: async (content) => {
      const sent = contentRequest(content, head("msg"));
      return parseContentAnswer(await call(() => sent, REQUEST_PATIENCE_MS));
    },
    report: async ({ challengedAt, ...result }) => {
      const operation = { ...head("op"), ...result };
      // A3.7: the lease counts from the challenge, so each try says anew how long ago that was.
      const make = () => operationRequest({ ...operation, elapsedMs: Math.round(now() - challengedAt) });
      await call(make, REPORT_PATIENCE_MS);
    },
    ask: (what, question) => {
      const sent = questionRequest(CORE_PATHS[what], question, "application/json");
      return call(() => sent, REQUEST_PATIENCE_MS);
    },
    move: (wish) => {
      const sent = operationRequest({ ...head("op"), ...wish }, CORE_PATHS.subscriptions);
      return call(() => sent, REQUEST_PATIENCE_MS);
    },
    read: (question, form) => {
      const accept = form === "events" ? "text/event-stream" : "application/json";
      return open(questionRequest(CORE_PATHS.messages, question, accept), REQUEST_PATIENCE_MS);
    },
    isReady: async () => {
      const asked = origins.map(async (origin) => {
        const path = "/readyz";
        const { status } = await http.send({ method: "GET", origin, path, headers: {}, timeoutMs: READY_MS });
        if (status !== 200) throw new Error(`status ${status}`);
      });
      return await Promise.any(asked).then(() => true, () => false);
    },
  };
}

async function wholeOf({ body }: HttpStream): Promise<Uint8Array> {
  try {
    return new Uint8Array(await new Response(body).arrayBuffer());
  } catch (cause) {
    throw new HttpClientError("the answer broke off", { cause });
  }
}

/** ARCHITECTURE §5: a secret leaves the edge sealed, to the newest key of the very core that is asked. */
async function sealedRequest(operation: Operation, { sealer }: Session): Promise<CoreRequest> {
  if (operation.kind !== "intent" || operation.secret === undefined) return operationRequest(operation);
  const subject = sealingSubject(await subscriptionIdByWebCrypto(operation.topic, operation.callback));
  return operationRequest({ ...operation, secret: await sealer.seal(operation.secret, subject) });
}

function operationRequest(operation: Operation | MoveOperation, path: string = CORE_PATHS.operations): CoreRequest {
  const headers = { "content-type": "application/json" };
  return { method: "POST", path, headers, body: JSON.stringify(operation) };
}

function contentRequest({ client, key, headers, body, ...fields }: Content, head: OperationHead): CoreRequest {
  const framed = frameContent({
    ...head,
    ...fields,
    ...(client === null ? {} : { client }),
    ...(key === null ? {} : { key }),
    ...(headers === null ? {} : { headers }),
  }, body);
  return { method: "POST", path: CORE_PATHS.messages, headers: {}, body: framed };
}

function questionRequest(path: string, { pair, caller, given }: Question, accept: string): CoreRequest {
  // The target is signed: it must be one that no URL parser writes in another way.
  const query = [["topic", pair.topic], ["callback", pair.callback], ...given]
    .map(([name, value]) => `${name}=${encodeURIComponent(value!).replaceAll("'", "%27")}`).join("&");
  const headers = { accept, [CALLER_HEADER]: encodeURIComponent(JSON.stringify(caller)) };
  return { method: "GET", path: `${path}?${query}`, headers };
}

const decoder = new TextDecoder();

function parseJson(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(body));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Whatever it is, it is not the core's answer.
  }
  return {};
}

/** `away`: whether the operation was done is not known, or it was not; asking again can help. */
type Reply<T> =
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "refused" | "away"; readonly error: CoreError };

function unanswered(cause: unknown): Reply<never> {
  return { kind: "away", error: new CoreError("unavailable", "The core did not answer", { cause }) };
}

/** What an answer means that is not 200. */
function refusalIn({ status, body }: HttpReply): Reply<never> {
  const { code, message } = parseJson(body);
  if (typeof code === "string" && Object.hasOwn(REFUSALS, code) && typeof message === "string") {
    const error = new CoreError(code as RefusalCode, message);
    return { kind: code === "unavailable" ? "away" : "refused", error };
  }
  // Something between us and the core, or a core gone wrong; what it calls our fault will be so again.
  const error = new CoreError("unavailable", `The core answered ${status} without a reason`);
  return { kind: status >= 500 ? "away" : "refused", error };
}

function parseOperationAnswer(body: Uint8Array): OperationAnswer {
  const { kind, offset, verify } = parseJson(body);
  if (kind === "done") return { kind };
  if (kind === "intent" && typeof offset === "number" && typeof verify === "boolean") return { kind, offset, verify };
  throw new CoreError("unavailable", "The core's answer to an operation is not one of shared/core-api.ts");
}

function parseContentAnswer(body: Uint8Array): ContentAnswer {
  const { id, cursor } = parseJson(body);
  if (typeof id === "string" && typeof cursor === "string") return { id, cursor };
  throw new CoreError("unavailable", "The core's answer to content is not one of shared/core-api.ts");
}
