// POST /hub and POST /: read, parse, admit, hand to the core, answer (WIRE §1). The order of checks is the order of lines.

import type { Metrics } from "../../shared/metrics.ts";
import { BodyTooLargeError } from "../../shared/request-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { oneEachTurn } from "../../shared/turn.ts";
import { hubRefusalOf } from "../answers/answers.ts";
import { HubError } from "../answers/hub-error.ts";
import { type Access, identityOfClient } from "../auth/access.ts";
import type { Client } from "../auth/client.ts";
import { claimOf } from "../limits/claim.ts";
import { OVERLOADED } from "../limits/limits.ts";
import type { Limits } from "../limits/limits.ts";
import { parseQuery, rawQueryOf } from "../syntax/form.ts";
import { contentHead, longestBody, parseHubRequest } from "../syntax/hub-request.ts";
import type { ContentHead, RawRequest } from "../syntax/hub-request.ts";
import { idempotencyKey, publisherHeaders } from "../syntax/request-headers.ts";
import type { SubscribeRules } from "../syntax/subscribe-request.ts";
import { HubActions } from "./actions.ts";
import type { HubActionsOptions, SentHeaders } from "./actions.ts";

export interface HubEndpointOptions extends HubActionsOptions {
  readonly access: Access;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly rules: SubscribeRules;
  readonly messageMaxBytes: number;
}

/** The handler of the hub endpoint. Rejects only on defects of our own. */
export function createHubEndpoint(
  options: HubEndpointOptions,
): (request: Request, exchange: Exchange) => Promise<Response> {
  const { metrics } = options;
  const actions = new HubActions(options);
  const requests = metrics.counter(
    "tidings_requests_total",
    "Requests to the hub endpoint by what they ask for and the status of the answer",
    ["operation", "status"],
  );

  return async (request, exchange) => {
    const asked = { operation: "unreadable" };
    let response: Response;
    try {
      response = await answer(options, actions, { request, exchange, asked });
    } catch (error) {
      response = hubRefusalOf(error instanceof BodyTooLargeError ? tooLarge(error, options) : error);
    }
    requests.inc({ operation: asked.operation, status: String(response.status) });
    return response;
  };
}

/** A form of 64 KiB may name a thousand topics, whose check takes some ms. */
const LONG_FORM_BYTES = 8 * 1024;
const turnOfForm = oneEachTurn();

interface Asking {
  readonly request: Request;
  readonly exchange: Exchange;
  /** What the request turns out to ask for, for the metric. */
  readonly asked: { operation: string };
}

async function answer(options: HubEndpointOptions, actions: HubActions, asking: Asking): Promise<Response> {
  const { limits, messageMaxBytes } = options;
  const { request, exchange, asked } = asking;
  const head = headOf(request);
  const maxBytes = longestBody(head, messageMaxBytes);
  limits.bodies.check(request, maxBytes);
  const content = contentHead(head, request.headers.get("content-length"));
  if (content !== undefined) asked.operation = "content";
  const sent = content?.isCertain === true ? sentHeaders(content, request) : undefined;
  const address = limits.addressOf(request, exchange);
  const stranger = () => claimOf(undefined, address);
  const known = content && await publisherOf(options, request, content, stranger);
  const claim = () => claimOf(known?.client && identityOfClient(known.client), address);
  return await limits.bodies.read(request, exchange, { maxBytes, claim }, async (body) => {
    if (content === undefined && body.length > LONG_FORM_BYTES) await turnOfForm();
    const parsed = parseHubRequest({ ...head, body }, options.rules);
    if (parsed.kind === "content" && parsed.body.length > messageMaxBytes) throw new BodyTooLargeError(messageMaxBytes);
    const read = parsed.kind === "content" ? { ...parsed, sent: sent ?? sentHeaders(parsed, request) } : parsed;
    asked.operation = parsed.kind;
    const client = parsed.kind === "content" && known !== undefined
      ? known.client
      : await admit(options, () => options.access.admit(request, parsed, stranger));
    const asker = { client, address };
    if (parsed.kind === "ping") {
      limits.admitTopics({ ...asker, client: client && identityOfClient(client) }, parsed.topics.length);
    }
    const leave = limits.pressure.enter(stranger().requester);
    if (leave === null) {
      limits.count("overload");
      throw new HubError("overloaded", OVERLOADED);
    }
    try {
      return await actions.act(read, request, asker);
    } finally {
      leave();
    }
  });
}

/** Who publishes what the query says is content, before its body is read; undefined if the body has to be read first. */
async function publisherOf(
  options: HubEndpointOptions,
  request: Request,
  content: ContentHead,
  stranger: () => Claim,
): Promise<{ readonly client: Client | undefined } | undefined> {
  const client = await admit(options, () => options.access.admitContent(request, content, stranger));
  // Without a client nothing is known yet of what may be a ping.
  return client === undefined && !content.isCertain ? undefined : { client };
}

/** Syntax comes before access. Pings ignore these headers. */
function sentHeaders(
  { topic, contentType }: Pick<ContentHead, "topic" | "contentType">,
  { headers }: Request,
): SentHeaders {
  return { key: idempotencyKey(headers), headers: publisherHeaders({ topic, contentType, headers }) };
}

/** Lets a client pass, and counts its request. */
async function admit(
  { limits }: Pick<HubEndpointOptions, "limits">,
  access: () => Promise<Client | undefined>,
): Promise<Client | undefined> {
  const client = await access();
  if (client !== undefined) limits.admitClient(identityOfClient(client), "client");
  return client;
}

/** What a request says before its body. @throws {HubError} as `parseQuery` */
function headOf({ url, headers }: Request): Omit<RawRequest, "body"> {
  return {
    query: parseQuery(rawQueryOf(url)),
    // An empty Content-Type says nothing.
    contentType: headers.get("content-type") || null,
    publisher: headers.get("x-ballerina-publisher"),
  };
}

function tooLarge({ maxBytes }: BodyTooLargeError, { messageMaxBytes }: HubEndpointOptions): HubError {
  const toDo = maxBytes < messageMaxBytes
    ? "a longer message has hub.mode and hub.topic in the query"
    : "send at most that many";
  return new HubError("too_large", `The request body is longer than ${maxBytes} bytes; ${toDo}.`);
}
