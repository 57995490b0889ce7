// The answer to a GET may be long, but may not stand still for long. A runtime's own timeout cannot see to that: Bun's does not notice
// what is written, and the others' may end a write that goes on, over TLS or on Deno.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * While one long write goes on, its bytes may all count as waiting. It may take the time of a client that reads so slowly, bytes
 * per ms.
 */
const SLOWEST_CLIENT = 256;

/** Cuts a connection on which nothing moves for `ms` before the answer is complete. */
export function cutStalled(socket: Socket, outgoing: ServerResponse, ms: number): void {
  let [written, waiting, movedAt] = [0, 0, performance.now()];
  const look = setInterval(() => {
    // Deno does not close an answer that was still waiting for its turn on a connection that is gone.
    if (socket.destroyed) return clearInterval(look);
    const now = performance.now();
    const waitingNow = Math.max(outgoing.writableLength, socket.writableLength);
    if (written !== socket.bytesWritten || waiting !== waitingNow) {
      [written, waiting, movedAt] = [socket.bytesWritten, waitingNow, now];
    } else if (now - movedAt >= ms + waiting / SLOWEST_CLIENT) {
      socket.destroy();
    }
  }, ms / 8);
  look.unref();
  outgoing.once("close", () => clearInterval(look));
}
