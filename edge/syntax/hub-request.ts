// What a POST to the hub endpoint means: the dispatch table of WIRE §1, row by row. Pure.

import { isHttpUrl } from "../../shared/identity.ts";
import { topicProblem } from "../../shared/topic.ts";
import { FORM, FORM_MAX_BYTES, isForm, parseForm } from "./form.ts";
import type { Parameters } from "./form.ts";
import { HubError, quoted } from "../answers/hub-error.ts";
import { parsePing, type PingRequest } from "./ping-request.ts";
import { parseSubscribe } from "./subscribe-request.ts";
import type { SubscribeRequest, SubscribeRules } from "./subscribe-request.ts";
import { parseTopic } from "./topic.ts";

/** A POST that is not understood yet. A header that is not there is null. */
export interface RawRequest {
  /** `parseQuery` of the text after "?". */
  readonly query: Parameters;
  readonly contentType: string | null;
  /** x-ballerina-publisher */
  readonly publisher: string | null;
  readonly body: Uint8Array;
}

export type HubRequest =
  | SubscribeRequest
  | { readonly kind: "register" | "deregister"; readonly topic: string }
  | PingRequest
  | { readonly kind: "content"; readonly topic: string; readonly contentType: string; readonly body: Uint8Array };

const NO_TYPE = "application/octet-stream";

/**
 * How long a request's body may be, bytes. Its query says whether it is content; all other bodies are forms, which are read before anyone
 * has to show a token.
 */
export function longestBody(
  { query, publisher }: Pick<RawRequest, "query" | "publisher">,
  messageMaxBytes: number,
): number {
  const mayBeContent = publisher !== "event" && query.first("hub.mode") === "publish";
  return mayBeContent ? messageMaxBytes : FORM_MAX_BYTES;
}

/** What is known of a request with content before its body. */
export interface ContentHead {
  readonly topic: string;
  readonly contentType: string;
  /** Whether it is content whatever its body is; else an empty body makes it a ping. */
  readonly isCertain: boolean;
}

/**
 * Whether a request's query says that its body is content; `length` is its Content-Length, null if it says none. Such a body is read once
 * its publisher is known. Undefined if nothing is to be read, or the body is a form.
 * @throws {HubError} "invalid_request", as `parseHubRequest` would
 */
export function contentHead(
  { query, contentType, publisher }: Omit<RawRequest, "body">,
  length: string | null,
): ContentHead | undefined {
  if (publisher !== null && publisher !== "publish") return undefined;
  if (query.first("hub.mode") !== "publish" || length === "0") return undefined;
  const isCertain = length !== null || (contentType !== null && !isForm(contentType));
  const topic = query.first("hub.topic");
  if (topic === undefined && !isCertain) return undefined;
  return { topic: parseTopic("hub.topic", topic), contentType: contentType ?? NO_TYPE, isCertain };
}

/**
 * Reads a request; the first row of the table that fits decides.
 * @throws {HubError} "invalid_request" with a sentence that names the parameter
 */
export function parseHubRequest(request: RawRequest, rules: SubscribeRules): HubRequest {
  const { query, publisher } = request;
  if (publisher !== null && publisher !== "publish" && publisher !== "event") {
    throw refuse(`x-ballerina-publisher must be "publish" or "event", not ${quoted(publisher)}`);
  }
  const mode = query.first("hub.mode");
  return mode === undefined ? readForm(request, rules) : readQuery(mode, request);
}

function readQuery(mode: string, request: RawRequest): HubRequest {
  const { query } = request;
  switch (mode) {
    case "register":
    case "deregister":
    case "unregister":
      return readRegistration(mode, query);
    case "publish": {
      if (request.publisher === "event") return readEvent(query);
      // Content has a body, or says by its type that its body is empty.
      const hasContent = request.body.length > 0 || (request.contentType !== null && !isForm(request.contentType));
      return hasContent ? content(query.first("hub.topic"), request) : readEvent(query);
    }
    case "subscribe":
    case "unsubscribe":
      throw refuse(`hub.mode=${mode} must be sent in a form body, not in the query`);
    default:
      throw unknownMode(mode);
  }
}

/** The query has no mode; it may have extensions of a subscribe. */
function readForm(request: RawRequest, rules: SubscribeRules): HubRequest {
  const { query, contentType, body } = request;
  if (contentType === null ? !beginsWithParameter(body) : !isForm(contentType)) {
    throw refuse(`hub.mode is missing from the query; to send it in the body, let Content-Type be ${FORM}`);
  }
  const form = parseForm(body);
  const mode = form.first("hub.mode");
  switch (mode) {
    case undefined:
      throw refuse("hub.mode is missing; send subscribe, unsubscribe, publish, register or deregister");
    case "subscribe":
    case "unsubscribe":
      return parseSubscribe(mode, { form, query }, rules);
    case "register":
    case "deregister":
    case "unregister":
      return readRegistration(mode, form);
    case "publish":
      return request.publisher === "event" ? readEvent(form) : readFormPublish(form, request);
    default:
      throw unknownMode(mode);
  }
}

/**
 * Whether a body without a type is a form: it begins with a parameter of the hub, in any order. Ruby's Net::HTTP and hand-written
 * clients send no type, and without a mode in the query such a request can mean nothing else.
 */
function beginsWithParameter(body: Uint8Array): boolean {
  return /^hub\.[a-z_]+=/.test(String.fromCharCode(...body.subarray(0, 64)));
}

function readRegistration(mode: "register" | "deregister" | "unregister", parameters: Parameters): HubRequest {
  // MOSIP's spelling is "unregister".
  const kind = mode === "register" ? "register" : "deregister";
  return { kind, topic: parseTopic("hub.topic", parameters.first("hub.topic")) };
}

/** Form `hub.mode=publish`: a name with other parameters is content, the whole form; all else is a ping. */
function readFormPublish(form: Parameters, request: RawRequest): HubRequest {
  const named = form.all("hub.url", "hub.topic");
  if (named.length === 0) throw refuse("hub.topic is missing; send the topic that has changed, or hub.url");
  const topic = form.first("hub.topic");
  const isName = topic !== undefined && !isHttpUrl(topic) && topicProblem(topic) === undefined;
  if (isName && form.hasOtherThan("hub.mode", "hub.topic", "hub.url")) return content(topic, request);
  return parsePing(form, true);
}

/**
 * "It has changed", without content: a URL is fetched. A name has nothing that could be fetched, and a message that the hub makes up is
 * one that a subscriber refuses: MOSIP's takes nothing but JSON.
 */
function readEvent(parameters: Parameters): HubRequest {
  if (parameters.all("hub.topic", "hub.url").some(isHttpUrl)) return parsePing(parameters, false);
  const topic = parseTopic("hub.topic", parameters.first("hub.topic") ?? parameters.first("hub.url"));
  throw refuse(
    `hub.topic ${
      quoted(topic)
    } is a name, so there is nothing to fetch; publish the content: send it in the body, with its Content-Type`,
  );
}

function content(topic: string | undefined, request: RawRequest): HubRequest {
  return {
    kind: "content",
    topic: parseTopic("hub.topic", topic),
    contentType: request.contentType ?? NO_TYPE,
    body: request.body,
  };
}

function unknownMode(mode: string): HubError {
  if (mode === "") return refuse("hub.mode is empty; send subscribe, unsubscribe, publish, register or deregister");
  return refuse(`hub.mode must be subscribe, unsubscribe, publish, register or deregister, not ${quoted(mode)}`);
}

function refuse(sentence: string): HubError {
  return new HubError("invalid_request", `${sentence}.`);
}
