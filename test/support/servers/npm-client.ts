// The unmodified npm client `pubsubhubbub` as a subscriber: a reader from before WebSub.

import { once } from "node:events";
import pubsubhubbub from "pubsubhubbub";
import type { Client, Feed } from "pubsubhubbub";

export interface NpmClient {
  /** The messages that came, in order, with their times (`performance.now()`). The client answers each with 204. */
  readonly arrivals: readonly { readonly feed: Feed; readonly at: number }[];
  /** Topics whose subscribe (or unsubscribe) it has confirmed, in order. */
  readonly confirmed: readonly string[];
  /** @throws {Error} if the hub answers neither 202 nor 204 */
  subscribe(topic: string, hub: string): Promise<void>;
  unsubscribe(topic: string, hub: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the client's own server on this port of 127.0.0.1. It has no secret, because it checks signatures with another key than it sends. */
export async function openNpmClient(port: number): Promise<NpmClient> {
  const client = pubsubhubbub.createServer({ callbackUrl: `http://127.0.0.1:${port}/` });
  const arrivals: { feed: Feed; at: number }[] = [];
  const confirmed: string[] = [];
  client.on("feed", (feed) => void arrivals.push({ feed, at: performance.now() }));
  client.on("subscribe", ({ topic }) => void confirmed.push(topic));
  client.on("unsubscribe", ({ topic }) => void confirmed.push(topic));
  client.listen(port, "127.0.0.1");
  await once(client, "listen");
  // Node closes an idle connection after 5 s by default; an attempt just then would be lost.
  client.server.keepAliveTimeout = 300_000;
  return {
    arrivals,
    confirmed,
    subscribe: (topic, hub) => ask(client, "subscribe", topic, hub),
    unsubscribe: (topic, hub) => ask(client, "unsubscribe", topic, hub),
    close: () =>
      new Promise((resolve) => {
        client.server.close(() => resolve());
        client.server.closeAllConnections();
      }),
  };
}

function ask(client: Client, mode: "subscribe" | "unsubscribe", topic: string, hub: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client[mode](topic, hub, (error) => error === null ? resolve() : reject(error));
  });
}
