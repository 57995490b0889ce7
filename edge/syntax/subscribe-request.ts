// A subscribe or unsubscribe request, read from its form (§5.1, WIRE §2).

import { parseHttpUrl, UrlError } from "../../shared/http-url.ts";
import { parseIsoTime } from "../../shared/iso-time.ts";
import { isSignatureMethod, SIGNATURE_METHODS, type SignatureMethod } from "../../shared/signature-methods.ts";
import type { OutboundGuard } from "../../shared/outbound/guard.ts";
import type { Parameters } from "./form.ts";
import { HubError } from "../answers/hub-error.ts";
import { MAX_CALLBACK_BYTES } from "./subscription-pair.ts";
import { fitsInBytes } from "../../shared/topic.ts";
import { CALLBACK_CALLED_MAX_BYTES, callbackMaxBytes, HEAD_MAX_BYTES } from "../../shared/request-head.ts";
import { verificationHeadBytes } from "../../shared/outbound/callback-query.ts";
import { parseTopic } from "./topic.ts";

export interface SubscribeRequest {
  readonly kind: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  /** Granted, ms; subscribe only. */
  readonly leaseMs?: number;
  /** Of an unsubscribe: it only tells whose request it is. */
  readonly secret?: string;
  /** Of `X-Hub-Signature`; absent: the hub's. */
  readonly signature?: SignatureMethod;
  readonly verifyToken?: string;
  readonly concurrency?: number;
  readonly start?: string;
}

export interface SubscribeRules {
  readonly leaseDefaultMs: number;
  readonly leaseMinMs: number;
  readonly leaseMaxMs: number;
  readonly guard: OutboundGuard;
}

const MAX_TOKEN_BYTES = 2_048;
const MAX_SECRET_BYTES = 199;
const MAX_CONCURRENCY = 64;

/** What a subscribe is read from. */
export interface SubscribeParameters {
  readonly form: Parameters;
  /** Of the hub's URL as the client has it, which is all that can be set in some clients (WIRE §2). */
  readonly query: Parameters;
}

/**
 * Reads the form of a subscribe or unsubscribe, and the hub's extensions from the query where the form has none.
 * @throws {HubError} "invalid_request", naming the parameter
 */
export function parseSubscribe(
  kind: "subscribe" | "unsubscribe",
  { form, query }: SubscribeParameters,
  rules: SubscribeRules,
): SubscribeRequest {
  const topic = parseTopic("hub.topic", form.first("hub.topic"));
  const callback = parseCallback(form.first("hub.callback"), rules.guard);
  const verifyToken = sent(form.first("hub.verify_token"));
  if (verifyToken !== undefined && !fitsInBytes(verifyToken, MAX_TOKEN_BYTES)) {
    throw refuse(`hub.verify_token is longer than ${MAX_TOKEN_BYTES} bytes`);
  }
  refuseLong(kind, topic, callback, verifyToken);
  const pair = { kind, topic, callback, ...(verifyToken === undefined ? {} : { verifyToken }) };
  const given = sent(form.first("hub.secret"));
  // §5.1: lease and secret change nothing on unsubscribe, whatever they say; neither do our own extensions.
  if (kind === "unsubscribe") {
    return given === undefined || !fitsInBytes(given, MAX_SECRET_BYTES) ? pair : { ...pair, secret: given };
  }
  const secret = parseSecret(given);
  const extension = (name: string) => form.first(name) ?? query.first(name);
  const concurrency = parseConcurrency(extension("hub.concurrency"));
  const signature = parseSignature(extension("hub.signature"));
  const start = parseStart(extension("hub.start"));
  return {
    ...pair,
    leaseMs: parseLease(sent(form.first("hub.lease_seconds")), rules),
    ...(secret === undefined ? {} : { secret }),
    ...(signature === undefined ? {} : { signature }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(start === undefined ? {} : { start }),
  };
}

function refuse(sentence: string): HubError {
  return new HubError("invalid_request", `${sentence}.`);
}

/** An empty hub.lease_seconds, hub.secret or hub.verify_token counts as not sent (WIRE §1). */
function sent(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function parseCallback(value: string | undefined, guard: OutboundGuard): string {
  if (value === undefined) throw refuse("hub.callback is missing; send the URL to call");
  if (value === "") throw refuse("hub.callback is empty; send the URL to call");
  if (!fitsInBytes(value, MAX_CALLBACK_BYTES)) throw refuse(`hub.callback is longer than ${MAX_CALLBACK_BYTES} bytes`);
  try {
    // WIRE §2: a forbidden literal address is refused at once; names are resolved only at verification.
    const verdict = guard.judgeUrl(parseHttpUrl(value));
    if (verdict !== null) throw refuse(`hub.callback ${verdict.clause}`);
    return value;
  } catch (error) {
    if (error instanceof UrlError) throw refuse(`hub.callback ${error.message}`);
    throw error;
  }
}

/**
 * Refuses what common servers could never be asked or sent: the verification would fail silently, and each delivery would be answered
 * 431 (WIRE §2). What is there already can be ended, so an unsubscribe is refused for its verify_token only.
 */
function refuseLong(mode: SubscribeRequest["kind"], topic: string, callback: string, verifyToken?: string): void {
  const { host, target } = parseHttpUrl(callback);
  const most = callbackMaxBytes(topic);
  if (mode === "subscribe" && host.length + target.length > most) {
    throw refuse(
      `hub.callback is longer than ${most} bytes as it is called, with its other characters percent-encoded` +
        `${most < CALLBACK_CALLED_MAX_BYTES ? "; with a shorter hub.topic it may be longer" : ""}`,
    );
  }
  // As long as a lease can be, in seconds.
  const intent = { mode, topic, callback, leaseMs: 999_999_999_000 };
  const bytes = verificationHeadBytes(verifyToken === undefined ? intent : { ...intent, verifyToken });
  if (bytes <= HEAD_MAX_BYTES) return;
  const named = ["hub.callback", "hub.topic", ...(verifyToken === undefined ? [] : ["hub.verify_token"])];
  if (mode === "unsubscribe" && verificationHeadBytes(intent) > HEAD_MAX_BYTES) return;
  throw refuse(
    `${
      named.join(", ")
    } are too long together: the request that asks hub.callback would have ${bytes} bytes of URL and headers, ` +
      `and many servers refuse more than ${HEAD_MAX_BYTES}`,
  );
}

function parseLease(value: string | undefined, rules: SubscribeRules): number {
  if (value === undefined) return rules.leaseDefaultMs;
  if (!/^[0-9]+$/.test(value) || /^0+$/.test(value)) {
    throw refuse("hub.lease_seconds must be a positive decimal integer");
  }
  // H40: any number of digits is a number, and no lease is perpetual.
  return Math.min(rules.leaseMaxMs, Math.max(rules.leaseMinMs, Number(value) * 1_000));
}

function parseSecret(value: string | undefined): string | undefined {
  // §5.1: less than 200 bytes; the sentence does not repeat it.
  if (value !== undefined && !fitsInBytes(value, MAX_SECRET_BYTES)) {
    throw refuse("hub.secret must be shorter than 200 bytes");
  }
  return value;
}

function parseSignature(value: string | undefined): SignatureMethod | undefined {
  if (value === undefined || isSignatureMethod(value)) return value;
  throw refuse(`hub.signature must be one of ${SIGNATURE_METHODS.join(", ")}`);
}

function parseConcurrency(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const concurrency = /^[0-9]{1,3}$/.test(value) ? Number(value) : 0;
  if (concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    throw refuse(`hub.concurrency must be an integer from 1 to ${MAX_CONCURRENCY}`);
  }
  return concurrency;
}

function parseStart(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value === "latest" || value === "earliest") return value;
  const isTime = !Number.isNaN(parseIsoTime(value));
  // The core decides whether this is a cursor of this topic.
  const mayBeCursor = /^[A-Za-z0-9_-]{8,256}$/.test(value) && !/^\d{4}-/.test(value);
  if (!isTime && !mayBeCursor) {
    throw refuse("hub.start must be latest, earliest, an ISO-8601 time with a zone, or a cursor");
  }
  return value;
}
