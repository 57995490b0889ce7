// The call of MOSIP's client for failed content (WIRE §5), with every part of it open to change.

import { createHmac } from "node:crypto";
import { call, type Reply } from "../servers/http.ts";
import type { HubUnderTest } from "./hub.ts";

export const FAILED_PATH = "/websub/sync/failedmessage";

export interface FailedQuestion {
  readonly topic: string;
  readonly callback: string;
  readonly timestamp?: string;
  readonly pageindex?: string | number;
  readonly messageCount?: string | number;
}

/** What differs from the request of MOSIP's client. */
export interface FailedChanges {
  readonly secret?: string;
  readonly method?: string;
  readonly path?: string;
  /** The query as it is sent; the signature is over the question all the same. */
  readonly query?: string;
  readonly signature?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export const ALWAYS = "1970-01-01T00:00:00.000Z";

/** The query as MOSIP's client writes it: encoded by Spring's rules, and a number without a value is a bare name. */
export function failedQuery({ topic, callback, timestamp = ALWAYS, pageindex, messageCount }: FailedQuestion): string {
  const base64url = Buffer.from(callback).toString("base64url");
  const parts = [`topic=${encodeURIComponent(topic)}`, `callback=${base64url}`, `timestamp=${timestamp}`];
  if (pageindex !== undefined) parts.push(`pageindex=${pageindex}`);
  if (messageCount !== undefined) parts.push(`messageCount=${messageCount}`);
  return parts.join("&");
}

/** The signature of MOSIP's client. */
export function failedSignature(
  { topic, callback, timestamp = ALWAYS, pageindex = "", messageCount = "" }: FailedQuestion,
  secret: string,
): string {
  return createHmac("sha256", secret).update(`${topic}${callback}${timestamp}${pageindex}${messageCount}`)
    .digest("base64");
}

/** Asks for failed content. */
export function askFailed(hub: HubUnderTest, question: FailedQuestion, changes: FailedChanges = {}): Promise<Reply> {
  const { secret = "secret", method = "GET", path = FAILED_PATH, query = failedQuery(question), headers } = changes;
  const signature = changes.signature === undefined ? failedSignature(question, secret) : changes.signature;
  const signed = signature === null ? {} : { "x-subscriber-signature": signature };
  return call(hub.base, { method, target: `${path}?${query}`, headers: { ...signed, ...headers } });
}
