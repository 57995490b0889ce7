// The part of the npm client `pubsubhubbub` 1.0.2 that the tests use; the package has no types of its own.

declare module "pubsubhubbub" {
  import type { EventEmitter } from "node:events";
  import type { IncomingHttpHeaders, Server } from "node:http";

  export interface Feed {
    readonly topic: string;
    readonly hub: string;
    readonly callback: string;
    readonly feed: Buffer;
    readonly headers: IncomingHttpHeaders;
  }
  export interface Verified {
    /** Unix seconds. */
    readonly lease: number;
    readonly topic: string;
  }
  export interface Client extends EventEmitter {
    readonly server: Server;
    listen(port: number, host: string): void;
    subscribe(topic: string, hub: string, done: (error: Error | null, topic?: string) => void): void;
    unsubscribe(topic: string, hub: string, done: (error: Error | null, topic?: string) => void): void;
    on(event: "listen", listener: () => void): this;
    on(event: "subscribe" | "unsubscribe" | "denied", listener: (verified: Verified) => void): this;
    on(event: "feed", listener: (feed: Feed) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
  }
  const pubsubhubbub: {
    createServer(
      options: { readonly callbackUrl: string; readonly secret?: string; readonly leaseSeconds?: number },
    ): Client;
  };
  export default pubsubhubbub;
}
