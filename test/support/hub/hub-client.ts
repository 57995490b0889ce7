// Calls that publishers and subscribers make to a hub. Nothing here knows more than WIRE.md says.

import assert from "node:assert/strict";
import type { Callback } from "../servers/callback-server.ts";
import { eventually, pause } from "../eventually.ts";
import { encodeForm } from "../form.ts";
import type { Parameters } from "../form.ts";
import { call } from "../servers/http.ts";
import type { Reply } from "../servers/http.ts";
import type { HubUnderTest } from "./hub.ts";

/** GET /subscriptions of WIRE §5. */
export interface Status {
  readonly topic: string;
  readonly callback: string;
  readonly state: string;
  readonly leaseExpiresAt: string | null;
  readonly cursor: string | null;
  readonly lag: number;
  readonly oldestUndeliveredAt: string | null;
  readonly lastError: string | null;
  readonly stuck: { id: string; cursor: string; attempts: number; answered5xx: number; since: string } | null;
  readonly gaps: readonly { readonly from: string; readonly to: string }[];
  readonly lastVerification: { readonly at: string; readonly outcome: string; readonly reason: string } | null;
}

const FORM_TYPE = "application/x-www-form-urlencoded";
/** How long to wait for a foreign hub to store a verification, because it has no status to ask for. */
const FOREIGN_HUB_SETTLES_MS = 1_000;

/** Posts a form to the hub. */
export function post(
  hub: HubUnderTest,
  parameters: Parameters,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return postRaw(hub, encodeForm(parameters), { "content-type": FORM_TYPE, ...headers });
}

/** Posts a body to the hub with only these headers. */
export function postRaw(
  hub: HubUnderTest,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return call(hub.url, { method: "POST", body, headers });
}

/** Sends a subscribe or unsubscribe, with more parameters if given, and resolves to the answer without waiting for the verification. */
export function request(
  hub: HubUnderTest,
  mode: "subscribe" | "unsubscribe",
  topic: string,
  callback: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return post(hub, { "hub.mode": mode, "hub.topic": topic, "hub.callback": callback, ...more });
}

/** Subscribes or renews, and resolves when the hub has verified and stored it. */
export async function subscribed(
  hub: HubUnderTest,
  topic: string,
  callback: Callback,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const before = await statusOf(hub, topic, callback.url);
  const nth = callback.challenges.length + 1;
  const reply = await request(hub, "subscribe", topic, callback.url, more);
  assert.equal(reply.status, 202, reply.text);
  await callback.challenged(nth);
  if (!hub.ours) return await pause(FOREIGN_HUB_SETTLES_MS);
  await statusUntil(
    hub,
    topic,
    callback.url,
    "a new lease",
    (status) => ["active", "parked"].includes(status.state) && status.leaseExpiresAt !== before?.leaseExpiresAt,
  );
}

/** Unsubscribes, and resolves when the hub has verified and stored it. */
export async function unsubscribed(
  hub: HubUnderTest,
  topic: string,
  callback: Callback,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const nth = callback.challenges.length + 1;
  const reply = await request(hub, "unsubscribe", topic, callback.url, more);
  assert.equal(reply.status, 202, reply.text);
  await callback.challenged(nth);
  if (!hub.ours) return await pause(FOREIGN_HUB_SETTLES_MS);
  await statusUntil(hub, topic, callback.url, "unsubscribed", (status) => status.state === "unsubscribed");
}

/** Tells the hub that these topics have changed, in the old form that every hub takes. */
export function ping(hub: HubUnderTest, ...urls: readonly string[]): Promise<Reply> {
  return post(hub, [["hub.mode", "publish"], ...urls.map((url) => ["hub.url", url] as const)]);
}

export interface Content {
  readonly body: string | Uint8Array;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Publishes content with its parameters in the query, and resolves to the answer. */
export function publish(hub: HubUnderTest, topic: string, content: Content): Promise<Reply> {
  const query = encodeForm({ "hub.mode": "publish", "hub.topic": topic });
  return call(`${hub.url}?${query}`, {
    method: "POST",
    body: content.body,
    headers: {
      ...(content.contentType === undefined ? {} : { "content-type": content.contentType }),
      ...content.headers,
    },
  });
}

/** Publishes content that the hub must accept; resolves to its message id. */
export async function published(hub: HubUnderTest, topic: string, body: string | Uint8Array): Promise<string> {
  const reply = await publish(hub, topic, { body, contentType: "text/plain" });
  assert.equal(reply.status, 200, reply.text);
  const id = reply.headers["webhook-id"];
  assert.equal(typeof id, "string", "the answer to a publish names the message");
  return String(id);
}

/** The status of a pair; undefined if the hub does not know it (404) or is not one of ours. */
export async function statusOf(hub: HubUnderTest, topic: string, callback: string): Promise<Status | undefined> {
  if (!hub.ours) return undefined;
  const reply = await call(`${hub.base}/subscriptions?${encodeForm({ topic, callback })}`);
  if (reply.status === 404) return undefined;
  assert.equal(reply.status, 200, `GET /subscriptions: ${reply.text}`);
  return JSON.parse(reply.text) as Status;
}

/** Asks for the status until `wanted` accepts it. */
export async function statusUntil(
  hub: HubUnderTest,
  topic: string,
  callback: string,
  what: string,
  wanted: (status: Status) => boolean,
  deadlineMs = 10_000,
): Promise<Status> {
  let last: Status | undefined;
  return await eventually(`${what} of ${callback}`, async () => {
    last = await statusOf(hub, topic, callback);
    return last !== undefined && wanted(last) && last;
  }, { deadlineMs, everyMs: 25, seen: () => JSON.stringify(last) });
}
