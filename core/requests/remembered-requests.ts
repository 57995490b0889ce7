// A resume or replay acts once (A3.8): its subscription remembers the request by an id.
import { createHash } from "node:crypto";
import { MOST_REQUESTS, rememberedRequests } from "../state/fold-subscription.ts";
import type { SubscriptionRecord } from "../state/records.ts";
import { Refusal } from "./refusal.ts";

/** The ids of requests that the subscription remembers at `time`, ms since 1970. */
export function rememberedIds(record: SubscriptionRecord, time: number): string[] {
  return rememberedRequests(record, time).map(([id]) => id);
}

/** @throws {Refusal} "too_many": the memory of a subscription is bounded */
export function refuseTooMany(remembered: readonly string[]): void {
  if (remembered.length < MOST_REQUESTS) return;
  throw new Refusal(
    "too_many",
    `This subscription still remembers ${MOST_REQUESTS} requests to resume or replay; try again later`,
  );
}

/** base64url(SHA-256(text)): part of a remembered id. */
export function requestHash(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
