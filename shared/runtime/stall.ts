// The answer to a GET may be long, and may stand still only for so long. A runtime's own timeout for this does not do: Bun's does not
// notice what is written, and the others' may end a write that goes on, over TLS or on Deno.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The bytes of one write may all wait until its last one has left. They may take as long as a client that reads so slowly, bytes per ms. */
const SLOWEST_CLIENT = 256;

/** Cuts a connection on which nothing moves for `ms` before the answer is complete. */
export function cutStalled(socket: Socket, outgoing: ServerResponse, ms: number): void {
  let [written, waiting, movedAt] = [0, 0, performance.now()];
  const look = setInterval(() => {
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
