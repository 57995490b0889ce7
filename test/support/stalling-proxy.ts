// A TCP proxy that can cut its clients off: connections stay open and nothing gets through, as behind a firewall that drops.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface StallingProxy extends AsyncDisposable {
  /** Nothing passes from now on, in either direction; what comes waits. */
  stall(): void;
  /** What waited passes, and all that follows. */
  resume(): void;
}

/** Listens on a port of 127.0.0.1 and passes on to another. */
export async function openStallingProxy(options: { listen: number; to: number }): Promise<StallingProxy> {
  const sockets = new Set<Socket>();
  let stalled = false;
  const server = createServer({ allowHalfOpen: false }, (client) => {
    const upstream = connect({ host: "127.0.0.1", port: options.to });
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      if (stalled) from.pause();
      from.on("data", (chunk) => {
        to.write(chunk);
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
    stall() {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    resume() {
      stalled = false;
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
