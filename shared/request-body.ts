// A request's body as bytes, with a limit on their number (413 of WIRE §1).

/** The body is, or says it is, longer than `maxBytes`. */
export class BodyTooLargeError extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`The body is longer than ${maxBytes} bytes`);
    this.name = "BodyTooLargeError";
    this.maxBytes = maxBytes;
  }
}

/**
 * Reads the whole body, once. It leaves the rest of a body that is too long to the server: cancelling would cut the client off
 * before it has its answer.
 * @throws {BodyTooLargeError} before reading, if Content-Length says so; else as soon as the bytes do
 */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null) {
    if (!(Number(declared) <= maxBytes)) throw new BodyTooLargeError(maxBytes);
    // Every server cuts a body at its Content-Length, so that the cheap way is bounded here.
    return new Uint8Array(await request.arrayBuffer());
  }
  if (request.body === null) return new Uint8Array(0);
  return await readParts(request.body.getReader(), maxBytes);
}

/**
 * Reads all that a reader has, whatever length was declared.
 * @throws {BodyTooLargeError} as soon as it is longer; the caller decides what happens to the rest
 */
export async function readParts(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > maxBytes) throw new BodyTooLargeError(maxBytes);
    chunks.push(part.value);
  }
  return joined(chunks, size);
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
