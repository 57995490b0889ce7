// A client must be able to skip interim answers, also those it did not ask for (RFC 9110 §15.2). undici (7.30) skips all but
// `100 Continue`, which it takes for a broken server: a callback that sends one would never get a delivery.

import type { Socket } from "node:net";

const CONTINUE = /^HTTP\/1\.[01] 100[ \r]/;
const PREFIX_BYTES = 13;
const HEAD_END = "\r\n\r\n";
/** The longest head, bytes. */
const MOST_HELD_BYTES = 16 * 1024;

/**
 * Takes the heads of `100 Continue` out of what is read from a socket. Only for undici's HTTP/1 client, which reads whole
 * chunks.
 */
export function skipContinue(socket: Socket): void {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  /** The beginning of a head whose end has not come yet. */
  let held: Buffer | undefined;

  function next(size?: number): Buffer | null {
    for (;;) {
      const chunk = read(size);
      // Nothing there, or Node's own read(0), which only asks for more.
      if (chunk === null) return null;
      const left = withoutContinue(held === undefined ? chunk : Buffer.concat([held, chunk]));
      held = undefined;
      if (left === undefined) continue;
      if (!startsWithContinue(left) || left.length > MOST_HELD_BYTES) return left;
      held = left;
    }
  }
  socket.read = next;
}

function startsWithContinue(bytes: Buffer): boolean {
  // For most answers the first digit of the status is enough.
  return bytes[9] === 0x31 && CONTINUE.test(bytes.toString("latin1", 0, PREFIX_BYTES));
}

/** What follows the complete heads at the beginning; undefined if nothing does. */
function withoutContinue(bytes: Buffer): Buffer | undefined {
  let left = bytes;
  while (startsWithContinue(left)) {
    const end = left.indexOf(HEAD_END);
    if (end < 0) return left;
    left = left.subarray(end + HEAD_END.length);
    if (left.length === 0) return undefined;
  }
  return left;
}
