// A resume or replay acts once, and so does whatever is signed (A3.8): the subscription remembers the request.
import { createHash } from "node:crypto";
import type { Caller } from "../../shared/core-api.ts";
import { type ActedRequests, MOST_REQUESTS } from "../state/acted-requests.ts";
import type { Signed } from "../state/events.ts";
import { Refusal } from "./refusal.ts";

/** @throws {Refusal} "too_many": the memory of a subscription is bounded */
export function refuseTooMany(remembered: ActedRequests): void {
  if (remembered.length < MOST_REQUESTS) return;
  throw new Refusal(
    "too_many",
    `This subscription still remembers ${MOST_REQUESTS} requests to resume or replay; try again later`,
  );
}

/** The caller's signature as the subscription remembers it; undefined for a caller with a token or with nothing. It was found right. */
export function signedBy(caller: Caller): Signed | undefined {
  if (caller.kind !== "signature") return undefined;
  // Only one spelling of a signature is right, so its text stands for its bytes. 22 characters are 132 bits.
  return { id: requestHash(caller.signature).slice(0, 22), at: Number(caller.timestamp) };
}

/** base64url(SHA-256(text)): part of a remembered id. */
export function requestHash(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
