// What a client still sends after its answer is read and thrown away for a while. Closed at once, its connection would be reset, and
// the reset may overtake the answer: the client would learn that writing failed, and not why.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/** A client that has not noticed its answer by then is cut off. */
const LINGER_MS = 10_000;
const LINGER_BYTES = 64 * 1024 * 1024;

/** Reads the rest of a body that the handler did not want, once the answer is written. A connection that is kept can be used again then. */
export function lingerAfter(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (isLast(incoming)) return closeAfterRequest(incoming, outgoing);
  outgoing.once("finish", () => {
    if (!incoming.complete) discard(incoming, incoming.socket);
  });
}

/** Whether the connection is closed after this request; one of HTTP/1.0 may be. */
function isLast({ httpVersion, headers }: IncomingMessage): boolean {
  return httpVersion === "1.0" || (headers.connection !== undefined && /\bclose\b/i.test(headers.connection));
}

/**
 * For an answer that is the last of its connection. The server closes with the answer's end, so that is held back until the request is
 * over; the client has the whole answer before, since its length is said.
 */
function closeAfterRequest(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const end = outgoing.end.bind(outgoing) as (chunk?: unknown) => ServerResponse;
  outgoing.end = (chunk?: unknown) => {
    if (incoming.complete || incoming.destroyed) return end(chunk);
    if (typeof chunk === "string" || chunk instanceof Uint8Array) outgoing.write(chunk);
    incoming.once("close", () => void end());
    discard(incoming, incoming.socket);
    return outgoing;
  };
}

/**
 * Writes the body of an answer that is the last of its connection, whose head has been written. The request's end is not known, so the
 * connection is closed as in `endLingering`.
 */
export function endAfterAnswer(socket: Socket, outgoing: ServerResponse, body: string): void {
  // Ending the answer would close the connection at once.
  outgoing.write(body, () => endLingering(socket, ""));
}

/** Writes the last words of a connection whose requests are no longer read, and closes it when its client has, or after a while. */
export function endLingering(socket: Socket, words: string): void {
  if (socket.readableEnded) socket.once("finish", () => socket.destroySoon());
  else socket.once("end", () => socket.destroySoon());
  if (words !== "") socket.write(words);
  socket.end();
  discard(socket, socket);
}

function discard(source: Readable, socket: Socket): void {
  const late = setTimeout(() => socket.destroy(), LINGER_MS);
  late.unref();
  source.once("close", () => clearTimeout(late));
  // Whoever read until now: a handler's reader, which pauses the source when it has enough, or the parser of requests.
  source.removeAllListeners("data");
  let bytes = 0;
  source.on("data", (part: Uint8Array) => {
    bytes += part.length;
    if (bytes > LINGER_BYTES) socket.destroy();
  });
  source.resume();
}
