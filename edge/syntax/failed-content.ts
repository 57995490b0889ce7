// What MOSIP's client asks for as failed content (WIRE §5), and the text that it has signed.

import { bytesOfBase64Url } from "../../shared/encoding.ts";
import { HubError } from "../answers/hub-error.ts";
import { type Parameters, parseQuery } from "./form.ts";
import { MAX_CALLBACK_BYTES } from "./subscription-pair.ts";
import { parseTopic } from "./topic.ts";

export interface FailedContentQuestion {
  /** The topics that the query may mean, the likeliest first, each with the text that was signed if it is the one. */
  readonly readings: readonly { readonly topic: string; readonly signed: string }[];
  readonly callback: string;
  /** `timestamp`, `pageindex` and `messageCount`, for the core to read. */
  readonly given: readonly (readonly [name: string, value: string])[];
}

const NUMBERS = ["pageindex", "messageCount"] as const;

/**
 * Parses the text of a query, without its "?". What was signed is each value as the client had it before it made a URL of it.
 * @throws {HubError} "invalid_request", naming the parameter
 */
export function parseFailedContent(query: string): FailedContentQuestion {
  // Spring leaves a `+` in a query as it is: there it is no space.
  const literal = parseQuery(query.replaceAll("+", "%2B"));
  const callback = parseCallback(literal.first("callback") ?? "");
  const timestamp = parseTimestamp(literal.first("timestamp") ?? "");
  const numbers = NUMBERS.map((name) => literal.first(name) ?? "");
  const rest = [callback, timestamp, ...numbers].join("");
  return {
    readings: topicsIn(parseQuery(query), literal).map((topic) => ({ topic, signed: topic + rest })),
    callback,
    given: [["timestamp", timestamp], ...NUMBERS.map((name, nth) => [name, numbers[nth]!] as const)],
  };
}

/** A topic with a space, a `+` or a percent sign can be written in several ways. */
function topicsIn(form: Parameters, literal: Parameters): string[] {
  const text = literal.first("topic");
  // RestTemplate encodes what MOSIP's client has encoded already.
  const twice = text === undefined ? undefined : decodedOnceMore(text);
  const topics = new Set<string>();
  let refusal: unknown;
  for (const topic of [form.first("topic"), text, twice ?? text]) {
    try {
      topics.add(parseTopic("topic", topic));
    } catch (error) {
      refusal ??= error;
    }
  }
  if (topics.size === 0) throw refusal;
  return [...topics];
}

function decodedOnceMore(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** base64url or base64, with or without padding. */
function parseCallback(encoded: string): string {
  if (encoded === "") {
    throw new HubError("invalid_request", "callback is missing; send the base64url of the subscription's callback.");
  }
  // A space was a `+` of base64.
  const text = encoded.replaceAll(" ", "+");
  const [, digits] = /^([A-Za-z0-9+/_-]+)={0,2}$/.exec(text) ?? [];
  const bytes = digits === undefined ? null : bytesOfBase64Url(digits);
  const callback = bytes === null ? undefined : textOf(bytes);
  if (callback === undefined) {
    throw new HubError("invalid_request", "callback is not the base64url of a URL; encode the bytes of the callback.");
  }
  if (bytes!.length > MAX_CALLBACK_BYTES) {
    throw new HubError("invalid_request", `callback is longer than ${MAX_CALLBACK_BYTES} bytes.`);
  }
  return callback;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The time itself is the core's to read. */
function parseTimestamp(text: string): string {
  if (text === "") {
    throw new HubError("invalid_request", "timestamp is missing; send an ISO-8601 time, with Z or an offset.");
  }
  // A proxy has made a space of the offset's `+`.
  return text.replace(/ (?=\d{2}:?\d{2}$)/, "+");
}
