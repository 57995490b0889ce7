// The edge's side of shared/core-api.ts. Every operation gets its id here, once, and is repeated with the same id (A3.8). The
// edge answers 2xx only if the core did.

import { CORE_PATHS } from "../../shared/core-api.ts";
import type {
  ContentAnswer,
  DeregisterOperation,
  IntentOperation,
  MoveOperation,
  OperationAnswer,
  OperationHead,
  PingOperation,
  RegisterOperation,
  ResultOperation,
  TextSigner,
} from "../../shared/core-api.ts";
import type { HttpClient, HttpStream } from "../../shared/http-client.ts";
import { randomToken } from "../../shared/random.ts";
import { parseContentAnswer, parseOperationAnswer } from "./core-answers.ts";
import { CoreCalls, type CoreCallsOptions } from "./core-calls.ts";
import { contentRequest, operationRequest, questionRequest, sealedRequest } from "./core-requests.ts";
import type { Content, Question } from "./core-requests.ts";

/** An operation without its head, which the client makes; a secret is still open, and is sealed here. */
export type NewOperation = WithoutHead<RegisterOperation | DeregisterOperation | IntentOperation | PingOperation>;
/** A move without its head. */
export type NewMove = WithoutHead<MoveOperation>;
/** A result without its head and time. `challengedAt` is in the client's `now()`. */
export type VerificationReport = Omit<WithoutHead<ResultOperation>, "elapsedMs"> & { readonly challengedAt: number };
type WithoutHead<T> = T extends OperationHead ? Omit<T, keyof OperationHead> : never;

/** All but `isReady` throw CoreError. */
export interface CoreClient {
  /** Makes the operation and its id, and yields both the answer and the id. */
  operate(operation: NewOperation): Promise<{ readonly id: string; readonly answer: OperationAnswer }>;
  /** Stores content durably. */
  publish(content: Content): Promise<ContentAnswer>;
  /** Reports what came of an intent; repeated for up to 60 s. */
  report(report: VerificationReport): Promise<void>;
  /** The status or the dead letters of a subscription, the core's JSON as it came. */
  ask(what: "subscriptions" | "deadLetters", question: Question): Promise<Uint8Array>;
  /** Moves a position; the core's JSON of the status after it. */
  move(move: NewMove): Promise<Uint8Array>;
  /** What a subscriber missed, as the core sends it: one page, or events that go on. */
  read(question: Question, form: "page" | "events"): Promise<HttpStream>;
  /** One page of failed content, as the core sends it. */
  readFailed(question: Question<TextSigner>): Promise<HttpStream>;
  /** Whether any core is ready, and knows this edge. Never throws. */
  isReady(): Promise<boolean>;
}

export interface CoreClientOptions extends CoreCallsOptions {
  /** ms since 1970. */
  readonly clock: () => number;
}

/** How long a client's request is repeated: the client waits, and can repeat it itself. */
const REQUEST_PATIENCE_MS = 10_000;
/** How long a result is repeated: the core refuses operations that are over 90 s old (A3.8). */
const REPORT_PATIENCE_MS = 60_000;
const READY_MS = 2_000;

export function createCoreClient(options: CoreClientOptions): CoreClient {
  const { http, sessions, origins, clock, now } = options;
  const calls = new CoreCalls(options);
  const head = (prefix: string): OperationHead => ({ id: `${prefix}_${randomToken(16)}`, madeAt: clock() });
  return {
    operate: async (wanted) => {
      const operation = { ...head("op"), ...wanted };
      const body = await calls.call((session) => sealedRequest(operation, session), REQUEST_PATIENCE_MS);
      return { id: operation.id, answer: parseOperationAnswer(body) };
    },
    publish: async (content) => {
      const request = contentRequest(content, head("msg"));
      return parseContentAnswer(await calls.call(() => request, REQUEST_PATIENCE_MS));
    },
    report: async ({ challengedAt, ...result }) => {
      const operation = { ...head("op"), ...result };
      // A3.7: the lease counts from the challenge, so each try says anew how long ago that was.
      const make = () => operationRequest({ ...operation, elapsedMs: Math.round(now() - challengedAt) });
      await calls.call(make, REPORT_PATIENCE_MS);
    },
    ask: (what, question) => {
      const request = questionRequest(CORE_PATHS[what], question, "application/json");
      return calls.call(() => request, REQUEST_PATIENCE_MS);
    },
    move: (wanted) => {
      const request = operationRequest({ ...head("op"), ...wanted }, CORE_PATHS.subscriptions);
      return calls.call(() => request, REQUEST_PATIENCE_MS);
    },
    read: (question, form) => {
      const accept = form === "events" ? "text/event-stream" : "application/json";
      return calls.open(questionRequest(CORE_PATHS.messages, question, accept), REQUEST_PATIENCE_MS);
    },
    readFailed: (question) =>
      calls.open(questionRequest(CORE_PATHS.failedContent, question, "application/json"), REQUEST_PATIENCE_MS),
    isReady: async () => {
      const asked = origins.map(async (origin) => {
        await askReady(http, origin);
        await sessions.with(origin, READY_MS);
      });
      return await Promise.any(asked).then(() => true, () => false);
    },
  };
}

async function askReady(http: HttpClient, origin: string): Promise<void> {
  const path = "/readyz";
  const { status } = await http.send({ method: "GET", origin, path, headers: {}, timeoutMs: READY_MS });
  if (status !== 200) throw new Error(`status ${status}`);
}
