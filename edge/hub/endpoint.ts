// POST /hub and POST /: read, parse, admit, hand to the core, answer (WIRE §1). The order of checks is the order of lines.

import { identityOf } from "../../shared/identity.ts";
import type { Metrics } from "../../shared/metrics.ts";
import { BodyTooLargeError, readBody } from "../../shared/request-body.ts";
import { createTraceparent, parseTraceparent } from "../../shared/trace.ts";
import { type Access, identityOfClient } from "../auth/access.ts";
import { accepted, empty, hubRefusalOf } from "../answers/answers.ts";
import type { Client } from "../auth/client.ts";
import { isMarked, type OnIntent } from "./auto-verify.ts";
import { createBodyBudget } from "../limits/body-budget.ts";
import { compactJson } from "./compact-json.ts";
import type { CoreClient } from "../core/core-client.ts";
import { rawQueryOf } from "../syntax/form.ts";
import { HubError } from "../answers/hub-error.ts";
import { idempotencyKey } from "../syntax/idempotency-key.ts";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { parseHubRequest } from "../syntax/hub-request.ts";
import type { HubRequest } from "../syntax/hub-request.ts";
import { BEHIND } from "../limits/limits.ts";
import type { Limits } from "../limits/limits.ts";
import { publisherHeaders } from "../syntax/publisher-headers.ts";
import type { SubscribeRequest, SubscribeRules } from "../syntax/subscribe-request.ts";
import type { Verifier } from "./verifier.ts";

export interface HubEndpointOptions {
  readonly core: CoreClient;
  readonly verifier: Verifier;
  readonly access: Access;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly rules: SubscribeRules;
  readonly messageMaxBytes: number;
  /** Topics whose JSON loses its whitespace (COMPACT_JSON). */
  readonly compactJson: readonly string[];
  /** AUTO_VERIFY: whether a mark of the hooks below counts (WIRE §2). Default false. */
  readonly autoVerify?: boolean;
  /** Each looks at a request that was admitted, and may mark it as verified. */
  readonly onSubscription?: OnIntent;
  readonly onUnsubscription?: OnIntent;
  /** Monotonic ms, the verifier's clock. */
  readonly now: () => number;
}

/** A form has room even where messages are kept tiny. */
const FORM_MAX_BYTES = 65_536;
/** Of all bodies being read or on their way to the core; at least four of the longest. */
const BODIES_MAX_BYTES = 128 * 1_024 * 1_024;

/** The handler of the hub endpoint. Rejects only on defects of our own. */
export function createHubEndpoint(options: HubEndpointOptions): (request: Request) => Promise<Response> {
  const { core, verifier, access, limits } = options;
  const readLimit = Math.max(options.messageMaxBytes, FORM_MAX_BYTES);
  const budget = createBodyBudget(Math.max(BODIES_MAX_BYTES, 4 * readLimit));
  const compacted = new Set(options.compactJson.map(identityOf));
  const requests = options.metrics.counter(
    "tidings_requests_total",
    "Requests to the hub endpoint by what they ask for and the status of the answer",
    ["operation", "status"],
  );

  return async (request) => {
    let operation = "unreadable";
    let response: Response;
    let release = () => {};
    try {
      release = budget.reserve(request, readLimit);
      const parsed = await read(request, readLimit, options);
      operation = parsed.kind;
      const client = await access.admit(request, parsed);
      if (client !== undefined) limits.admitClient(identityOfClient(client), "client");
      const leave = limits.pressure.enter();
      if (leave === null) throw behind();
      try {
        response = await act(parsed, request, client);
      } finally {
        leave();
      }
    } catch (error) {
      if (error instanceof HubError && error.code === "overloaded") limits.count("overload");
      response = hubRefusalOf(error);
    } finally {
      release();
    }
    requests.inc({ operation, status: String(response.status) });
    return response;
  };

  async function act(parsed: HubRequest, request: Request, client: Client | undefined): Promise<Response> {
    const by = client === undefined ? {} : { client: identityOfClient(client) };
    switch (parsed.kind) {
      case "content":
        return await publish(parsed, request, client);
      case "ping":
        await core.operate({ kind: "ping", topics: parsed.topics, ...by });
        // Debian's and WordPress's publisher library takes nothing but 204, Ballerina's nothing but 200.
        return parsed.quiet ? empty(204) : accepted(200);
      case "register":
      case "deregister":
        await core.operate(
          parsed.kind === "register"
            ? { kind: parsed.kind, topic: parsed.topic, ...by }
            : { kind: parsed.kind, topic: parsed.topic },
        );
        return accepted(200);
      case "subscribe":
      case "unsubscribe":
        return await intend(parsed, client);
    }
  }

  async function publish(
    parsed: Extract<HubRequest, { kind: "content" }>,
    request: Request,
    client: Client | undefined,
  ): Promise<Response> {
    const { id } = await core.publish({
      topic: parsed.topic,
      client: client === undefined ? null : identityOfClient(client),
      key: idempotencyKey(request.headers),
      contentType: parsed.contentType,
      headers: publisherHeaders(request.headers),
      traceparent: parseTraceparent(request.headers.get("traceparent")) ?? createTraceparent(),
      body: compacted.has(identityOf(parsed.topic)) ? compactJson(parsed.body) : parsed.body,
    });
    return accepted(200, { "webhook-id": id });
  }

  async function intend({ kind, ...pair }: SubscribeRequest, client: Client | undefined): Promise<Response> {
    const intent = { mode: kind, ...pair };
    const { host } = parseHttpUrl(pair.callback);
    if (!limits.verifications.take(host)) {
      limits.count("verifications");
      throw new HubError("too_many", "hub.callback's host has too many unconfirmed requests; wait a minute.");
    }
    let toVerify = false;
    try {
      const hook = kind === "subscribe" ? options.onSubscription : options.onUnsubscription;
      const marked = await isMarked(verifiable(intent, client), hook, options.autoVerify === true);
      const { id, answer } = await core.operate({
        kind: "intent",
        ...intent,
        ...(client === undefined ? {} : { client: identityOfClient(client) }),
        ...(marked ? { marked } : {}),
      });
      // §5.1.2: the answer does not depend on what verification will say, so it does not wait for it.
      if (answer.kind === "intent" && answer.verify) {
        toVerify = true;
        verifier.enqueue({ ...intent, id, offset: answer.offset, acceptedAt: options.now() });
      }
    } finally {
      if (!toVerify) limits.verifications.giveBack(host);
    }
    return accepted(202);
  }
}

/** What a hook sees of an intent: all but the secret. */
function verifiable(
  { mode, topic, callback, leaseMs }: { mode: "subscribe" | "unsubscribe" } & Omit<SubscribeRequest, "kind">,
  client: Client | undefined,
) {
  return Object.freeze({ mode, topic, callback, ...(leaseMs === undefined ? {} : { leaseMs }), client });
}

async function read(
  request: Request,
  readLimit: number,
  { messageMaxBytes, rules }: HubEndpointOptions,
): Promise<HubRequest> {
  const body = await readBytes(request, readLimit);
  const { headers } = request;
  const parsed = parseHubRequest({
    query: rawQueryOf(request.url),
    // An empty Content-Type says nothing.
    contentType: headers.get("content-type") || null,
    publisher: headers.get("x-ballerina-publisher"),
    body,
  }, rules);
  if (parsed.kind === "content") {
    if (parsed.body.length > messageMaxBytes) throw tooLarge(messageMaxBytes);
    // Syntax comes before access. Pings ignore it.
    idempotencyKey(headers);
  }
  return parsed;
}

async function readBytes(request: Request, readLimit: number): Promise<Uint8Array> {
  try {
    return await readBody(request, readLimit);
  } catch (error) {
    if (error instanceof BodyTooLargeError) throw tooLarge(error.maxBytes);
    // The client went away or broke off; whoever still listens is told so.
    throw new HubError("invalid_request", "The request body ended before it was complete.", { cause: error });
  }
}

function behind(): HubError {
  return new HubError("overloaded", BEHIND);
}

function tooLarge(maxBytes: number): HubError {
  return new HubError("too_large", `The request body is longer than ${maxBytes} bytes; send at most that many.`);
}
