// A TCP proxy that can cut its clients off: connections stay open and nothing gets through, as behind a firewall that drops packets.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface StallingProxy extends AsyncDisposable {
  /** From now on nothing passes in either direction; what arrives waits. */
  stall(): void;
  /** What waits passes, and so does all that follows. */
  resume(): void;
}

export interface StallingProxyOptions {
  readonly listen: number;
  readonly to: number;
  /** Called for each connection. Its result sees every chunk that the client sends; if it returns true, the proxy stalls before that chunk. */
  readonly stallBefore?: () => (chunk: Buffer) => boolean;
}

/** Listens on a port of 127.0.0.1 and passes on to another. */
export async function openStallingProxy(options: StallingProxyOptions): Promise<StallingProxy> {
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  let stalled = false;
  const stall = () => {
    stalled = true;
    for (const socket of sockets) socket.pause();
  };
  const server = createServer({ allowHalfOpen: false }, (client) => {
    const upstream = connect({ host: "127.0.0.1", port: options.to });
    const stallsBefore = options.stallBefore?.() ?? (() => false);
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      if (stalled) from.pause();
      from.on("data", (chunk) => {
        if (from === client && stallsBefore(chunk)) stall();
        if (stalled) held.push(() => to.write(chunk));
        else to.write(chunk);
      });
      from.on("error", () => {});
      from.once("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(options.listen, "127.0.0.1");
  await once(server, "listening");
  return {
    stall,
    resume() {
      stalled = false;
      for (const write of held.splice(0)) write();
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
