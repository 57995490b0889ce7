// The core's HTTP app for edges (shared/core-api.ts), with the probes that edges and load balancers ask (WIRE §8).
import { getLogger } from "@logtape/logtape";
import { type Context, Hono } from "hono";
import { CALLER_HEADER, CORE_PATHS } from "../../shared/core-api.ts";
import type { Metrics } from "../../shared/metrics.ts";
import type { Exchange, ServeOptions } from "../../shared/serve.ts";
import { BodyTooLargeError } from "../../shared/request-body.ts";
import type { ReadDeadLetters } from "../missed/dead-letter-page.ts";
import type { Missed } from "../missed/missed.ts";
import type { Door } from "./door.ts";
import type { Probes } from "../operating/probes.ts";
import { parseCaller, parseTextSigner } from "../requests/caller.ts";
import { frameMaxBytes, parseContent } from "./content.ts";
import type { Move } from "../requests/moves.ts";
import { parseMove, parseOperation } from "../requests/parse-operation.ts";
import type { Operations } from "../requests/operations.ts";
import type { Publish } from "../requests/publish.ts";
import { Refusal, refusalOf } from "../requests/refusal.ts";
import type { ReadStatus } from "../requests/status.ts";

const logger = getLogger(["tidings", "core", "face"]);

export interface AppOptions {
  readonly door: Door;
  readonly operations: Operations;
  readonly publish: Publish;
  readonly readStatus: ReadStatus;
  readonly move: Move;
  readonly missed: Missed;
  readonly readDeadLetters: ReadDeadLetters;
  readonly metrics: Metrics;
  readonly messageMaxBytes: number;
  readonly probes: Probes;
}

/** Answers a request that the door has let in; `body` is whole. */
type Handler = (request: Request, body: Uint8Array, exchange: Exchange) => Promise<Response>;

const OPERATION_MAX_BYTES = 4 * 1024 * 1024;
const RETRY_AFTER_SECONDS = "2";

/** The core's `fetch`: every refusal is JSON, and no request can stop the process. */
export function createApp(options: AppOptions): ServeOptions["fetch"] {
  const { messageMaxBytes } = options;
  const app = new Hono<{ Bindings: Exchange }>();
  const requests = options.metrics.counter("tidings_requests_total", "Requests by route and status", [
    "route",
    "status",
  ]);

  const counted =
    (route: string, handle: (request: Request, exchange: Exchange) => Promise<Response>) =>
    async ({ req, env }: Context<{ Bindings: Exchange }>) => {
      const response = await handle(req.raw, env).catch((error: unknown) => refuse(route, error));
      requests.inc({ route, status: String(response.status) });
      return response;
    };
  // ARCHITECTURE §5: every request of an edge comes in by the door, also one to a path that does not exist.
  const admitted = (route: string, handle: Handler, maxBytes = OPERATION_MAX_BYTES) =>
    counted(route, async (request, exchange) => {
      const body = await options.door.admit(request, exchange.target, maxBytes);
      return await handle(request, body, exchange);
    });

  app.post(
    CORE_PATHS.session,
    counted("session", async (request) => {
      return Response.json(await options.door.open(request), { headers: { "cache-control": "no-store" } });
    }),
  );
  app.post(
    CORE_PATHS.messages,
    admitted("messages", async (_request, body) => {
      return Response.json(await options.publish(parseContent(body, messageMaxBytes)));
    }, frameMaxBytes(messageMaxBytes)),
  );
  app.post(
    CORE_PATHS.operations,
    admitted("operations", async (_request, body) => {
      return Response.json(await options.operations.perform(parseOperation(parseJson(body))));
    }),
  );
  app.post(
    CORE_PATHS.subscriptions,
    admitted("moves", async (_request, body) => Response.json(await options.move(parseMove(parseJson(body))))),
  );
  app.get(
    CORE_PATHS.subscriptions,
    admitted("subscriptions", async (request) => {
      const { topic, callback, caller } = parseQuestion(request, parseCaller);
      return Response.json(await options.readStatus(topic, callback, caller));
    }),
  );
  app.get(
    CORE_PATHS.messages,
    admitted("missed", async (request, _body, { breakOff, endWithClient }) => {
      const question = parseQuestion(request, parseCaller);
      if (request.headers.get("accept") === "text/event-stream") {
        endWithClient?.();
        return await options.missed.stream(question);
      }
      return await options.missed.page(question, breakOff);
    }),
  );
  app.get(
    CORE_PATHS.failedContent,
    admitted("failed-content", async (request, _body, { breakOff }) => {
      return await options.missed.failed(parseQuestion(request, parseTextSigner), breakOff);
    }),
  );
  app.get(
    CORE_PATHS.deadLetters,
    admitted("dead-letters", async (request) => {
      return Response.json(await options.readDeadLetters(parseQuestion(request, parseCaller)));
    }),
  );
  app.notFound(admitted("none", () => {
    const refusal = { code: "not_found", message: "There is nothing at this path" };
    return Promise.resolve(Response.json(refusal, { status: 404 }));
  }));
  app.get("/healthz", () => options.probes.healthz());
  app.get("/readyz", () => options.probes.readyz());
  return (request, exchange = {}) => app.fetch(request, exchange);
}

function refuse(route: string, error: unknown): Response {
  if (error instanceof BodyTooLargeError) {
    return Response.json({ code: "too_large", message: error.message }, { status: 413 });
  }
  const refusal = refusalOf(error);
  if (refusal === undefined) {
    logger.error("A request to {route} failed: {error}", { route, error });
    return Response.json({ code: "unavailable", message: "The core failed; try again" }, { status: 503 });
  }
  const headers = refusal.status === 503 ? { "retry-after": RETRY_AFTER_SECONDS } : {};
  return Response.json(refusal.body, { status: refusal.status, headers });
}

/** A question about a subscription, and who asks. */
function parseQuestion<C>(request: Request, parseAsker: (json: string | undefined) => C) {
  const query = new URL(request.url).searchParams;
  const topic = query.get("topic");
  const callback = query.get("callback");
  if (!topic || !callback) throw new Refusal("invalid_request", "topic and callback are required");
  return { topic, callback, query, caller: parseAsker(decoded(request.headers, CALLER_HEADER)) };
}

function decoded(headers: Headers, name: string): string | undefined {
  const text = headers.get(name);
  if (text === null) return undefined;
  try {
    return text.includes("%") ? decodeURIComponent(text) : text;
  } catch {
    throw new Refusal("invalid_request", `${name} is not percent-encoded UTF-8`);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Refusal("invalid_request", "The body is not JSON");
  }
}
