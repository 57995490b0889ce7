// A TCP proxy that can cut its clients off: connections stay open and nothing gets through, as behind a firewall that drops.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface StallingProxy extends AsyncDisposable {
  /** Nothing passes from now on, in either direction; what comes waits. */
  stall(): void;
  /** What waited passes, and all that follows. */
  resume(): void;
}

export interface StallingProxyOptions {
  readonly listen: number;
  readonly to: number;
  /** Called for each connection: what it yields is shown all that the client sends, and stalls the proxy before what it says yes to. */
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
