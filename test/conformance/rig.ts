// What the rows run on: a hub, a publisher's site, and subscribers, shared by rows that run at the same time. A row has its own
// topics and callbacks, so that it sees nothing of the others.

import assert from "node:assert/strict";
import { it } from "node:test";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import type { Callback, CallbackServer } from "../support/servers/callback-server.ts";
import { eventually, never } from "../support/eventually.ts";
import { ping } from "../support/hub/hub-client.ts";
import type { HubUnderTest } from "../support/hub/hub.ts";
import { openTopicServer } from "../support/servers/topic-server.ts";
import type { Topic, TopicDocument, TopicServer } from "../support/servers/topic-server.ts";

export interface Rig {
  readonly hub: HubUnderTest;
  readonly topics: TopicServer;
  readonly callbacks: CallbackServer;
  /** A second hub of ours with TOPIC_REGISTRATION=required, SIGNATURE=sha1 and COMPACT_JSON=compact/*, DEAD_LETTER_ATTEMPTS=1 and DEAD_LETTER_500_ATTEMPTS=3; the same one for every row. */
  variant(): Promise<HubUnderTest>;
  /** A topic name that is not a URL and that no other row has. */
  name(): string;
  close(): Promise<void>;
}

export const VARIANT_SETTINGS = {
  TIDINGS_TOPIC_REGISTRATION: "required",
  TIDINGS_SIGNATURE: "sha1",
  TIDINGS_COMPACT_JSON: "compact/*",
  TIDINGS_DEAD_LETTER_ATTEMPTS: "1",
  TIDINGS_DEAD_LETTER_500_ATTEMPTS: "3",
} as const;

export async function openRig(hub: HubUnderTest, openVariant: () => Promise<HubUnderTest>): Promise<Rig> {
  const [topics, callbacks] = await Promise.all([openTopicServer(hub.url), openCallbackServer()]);
  let variant: Promise<HubUnderTest> | undefined;
  let names = 0;
  return {
    hub,
    topics,
    callbacks,
    variant: () => variant ??= openVariant(),
    name: () => `conformance/name ${names += 1}`,
    close: async () => {
      await Promise.all([topics.close(), callbacks.close(), hub.close(), variant?.then((open) => open.close())]);
    },
  };
}

/** What a row needs beyond the specification: `wire` is our WIRE.md, `settings` our short times. */
export type Needs = "wire" | "settings";

/** Declares one row. On a foreign hub a row that needs something of ours is skipped aloud. */
export function row(rig: Rig, title: string, run: () => Promise<void>, needs?: Needs): void {
  const skip = rig.hub.ours || needs === undefined
    ? false
    : needs === "wire"
    ? "needs what WIRE.md promises; this hub is not ours"
    : "needs the short times of a hub of our own";
  it(title, { skip, timeout: 60_000 }, run);
}

/** Changes a topic that has a subscription: serves the document, tells the hub, and waits until the hub has fetched it. */
export async function update(rig: Rig, topic: Topic, document: TopicDocument, pinged = topic.url): Promise<void> {
  topic.serve(document);
  const before = topic.fetches.length;
  const reply = await ping(rig.hub, pinged);
  assert.ok(reply.status >= 200 && reply.status < 300, `ping: ${reply.status} ${reply.text}`);
  await eventually(`a fetch of ${topic.url}`, () => topic.fetches.length > before && topic.fetches.at(-1)?.endedAt);
}

/** Checks that nothing more is delivered to these callbacks for a while. Then the row compares what came before. */
export async function quiet(callbacks: readonly Callback[], forMs = 400): Promise<void> {
  const counts = callbacks.map((callback) => callback.deliveries.length);
  await never(
    "a delivery",
    () => callbacks.find((callback, i) => callback.deliveries.length > (counts[i] ?? 0))?.url,
    forMs,
  );
}

/** The bodies of deliveries as text. */
export function bodies(callback: Callback): string[] {
  return callback.deliveries.map((delivery) => delivery.body.toString("utf8"));
}
