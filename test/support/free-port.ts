// A port for a server that a test starts.
import { once } from "node:events";
import { createServer } from "node:net";

const LOWEST_PORT = 12_000;
const PORTS = 20_000;

/**
 * A port that was free a moment ago. It is below the ports that the kernel gives to outgoing connections: such a connection
 * could take a port before a tier binds it, or while the tier is down.
 */
export async function freePort(): Promise<number> {
  while (true) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    server.listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch {
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
