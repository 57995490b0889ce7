// The demo's subscribers: three of ours with secrets, and an old reader from npm without one.

import { createHash } from "node:crypto";
import { createListener } from "../../client/listener.ts";
import type { Listener } from "../../client/listener.ts";
import { serve } from "../../shared/runtime/serve.ts";
import type { Served } from "../../shared/serve.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { openNpmClient } from "../support/servers/npm-client.ts";
import type { Arrival } from "./promises.ts";

export interface Subscriber {
  readonly name: string;
  readonly signed: boolean;
  /** Everything that came, in order of arrival. */
  arrivals(): readonly Arrival[];
  subscribe(): Promise<void>;
  unsubscribe(): Promise<void>;
  close(): Promise<void>;
}

/** A subscriber that can be down: its port closes and opens again. */
export interface OwnSubscriber extends Subscriber {
  goDown(): Promise<void>;
  comeBack(): Promise<void>;
}

const DEADLINE_MS = 20_000;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

export async function openSubscriber(name: string, hub: string, topic: string, secret: string): Promise<OwnSubscriber> {
  const arrivals: Arrival[] = [];
  const port = await freePort();
  const listener: Listener = createListener({
    hub,
    topic,
    callback: `http://127.0.0.1:${port}/`,
    secret,
    onDelivery: ({ headers, body, checked }) => {
      // The hub signs in both ways, and both signatures must hold.
      const good = checked.hub === "good" && checked.webhook === "good";
      const id = headers.get("webhook-id") ?? "";
      arrivals.push({ id, sha256: sha256(body), at: performance.now(), signature: good ? "good" : "bad" });
    },
  });
  const open = () => serve({ fetch: (request) => listener.fetch(request), hostname: "127.0.0.1", port });
  let served: Served | undefined = await open();
  const close = async () => {
    // Attempts in flight are answered first, so that nothing comes twice because of this.
    await served?.close(1_000);
    served = undefined;
  };
  return {
    name,
    signed: true,
    arrivals: () => arrivals,
    subscribe: async () => void await listener.subscribe(DEADLINE_MS),
    unsubscribe: () => listener.unsubscribe(DEADLINE_MS),
    goDown: close,
    comeBack: async () => {
      served ??= await open();
    },
    close,
  };
}

/** The npm client `pubsubhubbub`, unmodified. */
export async function openOldReader(hub: string, topic: string): Promise<Subscriber> {
  const client = await openNpmClient(await freePort());
  return {
    name: "npm pubsubhubbub",
    signed: false,
    arrivals: () =>
      client.arrivals.map(({ feed: { feed, headers }, at }) => ({
        id: String(headers["webhook-id"] ?? ""),
        sha256: sha256(feed),
        at,
        signature: headers["x-hub-signature"] === undefined && headers["webhook-signature"] === undefined
          ? "none"
          : "bad",
      })),
    subscribe: async () => {
      await client.subscribe(topic, hub);
      await eventually("the old reader's subscription", () => client.confirmed.length === 1, {
        deadlineMs: DEADLINE_MS,
      });
    },
    unsubscribe: async () => {
      await client.unsubscribe(topic, hub);
      await eventually("the old reader's goodbye", () => client.confirmed.length === 2, { deadlineMs: DEADLINE_MS });
    },
    close: () => client.close(),
  };
}
