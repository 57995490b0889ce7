// POST /hub and POST /: read, parse, admit, hand to the core, answer (WIRE §1). The order of checks is the order of lines.

import type { Metrics } from "../../shared/metrics.ts";
import { BodyTooLargeError, readBody } from "../../shared/request-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import { hubRefusalOf } from "../answers/answers.ts";
import { HubError } from "../answers/hub-error.ts";
import { type Access, identityOfClient } from "../auth/access.ts";
import { createBodyBudget } from "../limits/body-budget.ts";
import { OVERLOADED } from "../limits/limits.ts";
import type { Limits } from "../limits/limits.ts";
import { type MemoryBounds, PROCESS_MEMORY } from "../limits/memory.ts";
import { FORM_MAX_BYTES, rawQueryOf } from "../syntax/form.ts";
import { longestBody, parseHubRequest } from "../syntax/hub-request.ts";
import type { HubRequest, RawRequest } from "../syntax/hub-request.ts";
import { idempotencyKey, publisherHeaders } from "../syntax/request-headers.ts";
import type { SubscribeRules } from "../syntax/subscribe-request.ts";
import { HubActions } from "./actions.ts";
import type { HubActionsOptions } from "./actions.ts";

export interface HubEndpointOptions extends HubActionsOptions {
  readonly access: Access;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly rules: SubscribeRules;
  readonly messageMaxBytes: number;
  /** Default a process's. */
  readonly memory?: MemoryBounds | undefined;
}

/** The handler of the hub endpoint. Rejects only on defects of our own. */
export function createHubEndpoint(
  options: HubEndpointOptions,
): (request: Request, exchange: Exchange) => Promise<Response> {
  const { access, limits, memory = PROCESS_MEMORY } = options;
  const actions = new HubActions(options);
  const budget = createBodyBudget({
    ...memory,
    most: Math.max(memory.bodiesBytes, 4 * Math.max(options.messageMaxBytes, FORM_MAX_BYTES)),
    now: options.now,
  });
  const requests = options.metrics.counter(
    "tidings_requests_total",
    "Requests to the hub endpoint by what they ask for and the status of the answer",
    ["operation", "status"],
  );

  return async (request, exchange) => {
    let operation = "unreadable";
    let response: Response;
    let release = () => {};
    try {
      const head = headOf(request);
      const readLimit = longestBody(head, options.messageMaxBytes);
      release = budget.reserve(request, readLimit);
      const parsed = await read(request, head, readLimit, options);
      operation = parsed.kind;
      const client = await access.admit(request, parsed);
      if (client !== undefined) limits.admitClient(identityOfClient(client), "client");
      const asker = { client, address: limits.addressOf(request, exchange) };
      if (parsed.kind === "ping") {
        limits.admitTopics({ ...asker, client: client && identityOfClient(client) }, parsed.topics.length);
      }
      const leave = limits.pressure.enter();
      if (leave === null) throw new HubError("overloaded", OVERLOADED);
      try {
        response = await actions.act(parsed, request, asker);
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
}

/** What a request says before its body. */
function headOf({ url, headers }: Request): Omit<RawRequest, "body"> {
  return {
    query: rawQueryOf(url),
    // An empty Content-Type says nothing.
    contentType: headers.get("content-type") || null,
    publisher: headers.get("x-ballerina-publisher"),
  };
}

async function read(
  request: Request,
  head: Omit<RawRequest, "body">,
  readLimit: number,
  { messageMaxBytes, rules }: HubEndpointOptions,
): Promise<HubRequest> {
  const body = await readBytes(request, readLimit, messageMaxBytes);
  const parsed = parseHubRequest({ ...head, body }, rules);
  if (parsed.kind === "content") {
    if (parsed.body.length > messageMaxBytes) throw tooLarge(messageMaxBytes, messageMaxBytes);
    // Syntax comes before access. Pings ignore it.
    idempotencyKey(request.headers);
    publisherHeaders({ ...parsed, headers: request.headers });
  }
  return parsed;
}

async function readBytes(request: Request, readLimit: number, messageMaxBytes: number): Promise<Uint8Array> {
  try {
    return await readBody(request, readLimit);
  } catch (error) {
    if (error instanceof BodyTooLargeError) throw tooLarge(error.maxBytes, messageMaxBytes);
    // The client went away or broke off; if it still listens, this tells it so.
    throw new HubError("invalid_request", "The request body ended before it was complete.", { cause: error });
  }
}

function tooLarge(maxBytes: number, messageMaxBytes: number): HubError {
  const toDo = maxBytes < messageMaxBytes
    ? "a longer message has hub.mode and hub.topic in the query"
    : "send at most that many";
  return new HubError("too_large", `The request body is longer than ${maxBytes} bytes; ${toDo}.`);
}
