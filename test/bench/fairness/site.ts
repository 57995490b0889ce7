// The callbacks and topics of the bench: one server on all loopback addresses, so that each address is another host. The first part of
// a path says how it behaves.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Site {
  readonly port: number;
  /** Resolves when this path is asked for the next time, with the time (`performance.now()`). */
  readonly asked: (path: string, deadlineMs: number) => Promise<number | undefined>;
  readonly close: () => Promise<void>;
}

/**
 * Opens a site. `/well…` confirms and takes all at once, `/slow…` does so after 1.2 s, `/hang…` never answers, and `/hangs-later…` confirms
 * and never answers a delivery.
 */
export async function openSite(): Promise<Site> {
  const waiting = new Map<string, (at: number) => void>();
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    const path = (incoming.url ?? "/").split("?", 1)[0]!;
    incoming.on("end", () => {
      const isDelivery = incoming.method === "POST";
      if (path.startsWith("/hang/") || (path.startsWith("/hangs-later/") && isDelivery)) return;
      waiting.get(`${incoming.method} ${path}`)?.(performance.now());
      if (path.startsWith("/slow/")) setTimeout(answer, 1_200, incoming, outgoing);
      else answer(incoming, outgoing);
    });
  });
  server.maxConnections = 20_000;
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked: (path, deadlineMs) =>
      new Promise((resolve) => {
        const end = (at?: number) => {
          clearTimeout(timer);
          waiting.delete(path);
          resolve(at);
        };
        const timer = setTimeout(end, deadlineMs);
        waiting.set(path, end);
      }),
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

let documents = 0;

/** A challenge is echoed, a document is another one each time, a delivery is taken. */
function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const challenge = new URL(incoming.url ?? "/", "http://site").searchParams.get("hub.challenge");
  if (challenge !== null) outgoing.end(challenge);
  else if (incoming.method === "GET") {
    outgoing.writeHead(200, { "content-type": "text/plain" }).end(`document ${documents++}`);
  } else outgoing.writeHead(204).end();
}
