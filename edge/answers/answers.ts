// What the edge answers with (WIRE §1): `hub.*` answers are form-encoded, others one sentence of text/plain.

import type { RefusalCode } from "../../shared/core-api.ts";
import { CoreError } from "../core/core-answers.ts";
import { HUB_ERRORS, HubError } from "./hub-error.ts";

type HeaderMap = Record<string, string>;

/** How long a client is asked to wait when the core is unavailable or a limit is reached, s. */
const RETRY_AFTER_S = "5";

/** `hub.mode=accepted`, with a status of 200 or 202. */
export function accepted(status: 200 | 202, headers: HeaderMap = {}): Response {
  return new Response("hub.mode=accepted", { status, headers: { "content-type": FORM, ...headers } });
}

/** `hub.mode=denied` with a reason. */
export function denied(status: number, reason: string, headers: HeaderMap = {}): Response {
  const body = new URLSearchParams({ "hub.mode": "denied", "hub.reason": reason }).toString();
  return new Response(body, { status, headers: { "content-type": FORM, ...headers } });
}

/** One sentence for people. */
export function sentence(status: number, text: string, headers: HeaderMap = {}): Response {
  return new Response(`${text}\n`, { status, headers: { ...PLAIN, ...headers } });
}

/** An answer without a body. */
export function empty(status: 204, headers: HeaderMap = {}): Response {
  return new Response(null, { status, headers });
}

export function json(status: number, value: unknown): Response {
  return new Response(JSON.stringify(value), { status, headers: JSON_HEADERS });
}

/** 200 with JSON as the core sent it. */
export function jsonOfCore(body: Uint8Array): Response {
  return new Response(body as BodyInit, { headers: JSON_HEADERS });
}

/** The answer to what a handler threw: a refusal of ours or of the core. Any other error is thrown on. */
export function refusalOf(error: unknown): Response {
  if (error instanceof HubError) {
    return sentence(HUB_ERRORS[error.code], error.message, headersOf(error));
  }
  if (error instanceof CoreError) return CORE_ANSWERS[error.code](error.message);
  throw error;
}

/** As `refusalOf`, for the hub endpoint, where 401 and 403 are form-encoded (WIRE §1). */
export function hubRefusalOf(error: unknown): Response {
  if (!(error instanceof HubError)) return refusalOf(error);
  const status = HUB_ERRORS[error.code];
  return status === 401 || status === 403 ? denied(status, error.message, headersOf(error)) : refusalOf(error);
}

/** As `refusalOf`, for questions about a subscription. */
export function subscriberRefusalOf(error: unknown): Response {
  if (!(error instanceof CoreError)) return refusalOf(error);
  if (error.code === "not_found") return sentence(404, error.message);
  if (error.code === "unavailable") {
    return sentence(503, "The hub cannot look this up now; ask again a little later.", {
      "retry-after": RETRY_AFTER_S,
    });
  }
  return refusalOf(error);
}

const FORM = "application/x-www-form-urlencoded";
const PLAIN: HeaderMap = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
/** The header of answers about subscriptions: no cache keeps them. */
export const UNSTORED: HeaderMap = { "cache-control": "no-store" };
const JSON_HEADERS: HeaderMap = { "content-type": "application/json", ...UNSTORED };

/** RFC 6750. A subscriber's signature has no scheme of its own. */
const CHALLENGE: HeaderMap = { "www-authenticate": "Bearer" };

function headersOf({ code, message, retryAfterS }: HubError): HeaderMap {
  switch (code) {
    case "unauthorized":
      return CHALLENGE;
    case "invalid_token":
    case "insufficient_scope":
      return { "www-authenticate": `Bearer error="${code}", error_description="${described(message)}"` };
    case "too_many":
    case "overloaded":
    case "unavailable":
      return { "retry-after": retryAfterS === undefined ? RETRY_AFTER_S : String(retryAfterS) };
    default:
      return {};
  }
}

/** RFC 6750 §3: printable ASCII without quotes and backslashes. */
function described(message: string): string {
  return message.replaceAll('"', "'").replace(/[^\x20-\x7e]|\\/g, "?");
}

const CORE_ANSWERS: Readonly<Record<RefusalCode, (message: string) => Response>> = {
  invalid_request: (message) => sentence(400, message),
  // The core's client opens another session; this is the answer when it cannot.
  no_session: () => away(),
  unauthorized: (message) => sentence(401, message, CHALLENGE),
  not_found: (message) => denied(404, message),
  gone: (message) => sentence(410, message),
  too_large: (message) => sentence(413, message),
  conflict: (message) => sentence(422, message),
  too_many: (message) => sentence(429, message, { "retry-after": RETRY_AFTER_S }),
  // Too old by the core's clock: nothing was done, and a new request makes a new operation.
  stale_operation: () => away(),
  unavailable: () => away(),
  overloaded: (message) => sentence(503, message, { "retry-after": RETRY_AFTER_S }),
};

function away(): Response {
  return sentence(503, "The hub cannot store this now; nothing was accepted, so send it again a little later.", {
    "retry-after": RETRY_AFTER_S,
  });
}
