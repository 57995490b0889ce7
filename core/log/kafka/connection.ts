// One connection to one broker. Not kafkajs's: that one keeps half an answer across a reconnect, waits for pending requests
// when told to close, and a fetch waits there for the requests before it. Any failure ends this one; a new one is opened.
import { connect, type Socket } from "node:net";
import { NoAnswer } from "./kafka-error.ts";
import type { KafkaRequest } from "./requests.ts";
import { Writer } from "./wire.ts";

export interface Connection {
  /** @throws {NoAnswer} if the connection ends, or nothing comes within `timeoutMs` (which ends it) */
  send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer>;
  close(): void;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly connectTimeoutMs: number;
  /** Called once, when a connection that was opened has ended for whatever reason. */
  readonly onEnd: (reason: string) => void;
}

interface Waiting {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** @throws {NoAnswer} if the broker cannot be reached in time */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const where = `${options.host}:${options.port}`;
  const waiting = new Map<number, Waiting>();
  const answers = createAnswers((correlationId, body) => {
    waiting.get(correlationId)?.resolve(body);
    waiting.delete(correlationId);
  });
  let correlation = 0;
  let ended: string | undefined;
  let notConnected: ((error: Error) => void) | undefined;

  const end = (reason: string) => {
    if (ended !== undefined) return;
    ended = reason;
    socket.destroy();
    const error = new NoAnswer(`${where}: ${reason}`);
    if (notConnected !== undefined) return notConnected(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    options.onEnd(reason);
  };

  const socket: Socket = connect({ host: options.host, port: options.port });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("the broker closed the connection"));
  socket.on("data", (chunk) => {
    try {
      answers(chunk);
    } catch (error) {
      end(error instanceof Error ? error.message : String(error));
    }
  });
  await new Promise<void>((resolve, reject) => {
    notConnected = reject;
    const late = setTimeout(() => end(`no connection within ${options.connectTimeoutMs} ms`), options.connectTimeoutMs);
    socket.once("close", () => clearTimeout(late));
    socket.once("connect", () => {
      clearTimeout(late);
      resolve();
    });
  });
  notConnected = undefined;

  return {
    async send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer> {
      const chunks = await request.encode();
      if (ended !== undefined) throw new NoAnswer(`${where}: ${ended}`);
      const id = correlation = (correlation + 1) & 0x7fffffff;
      const answer = new Promise<Buffer>((resolve, reject) => waiting.set(id, { resolve, reject }));
      const late = setTimeout(() => end(`no answer to ${request.name} within ${timeoutMs} ms`), timeoutMs);
      write(socket, frame(request, id, options.clientId, chunks), chunks);
      let body: Buffer;
      try {
        body = await answer;
      } finally {
        clearTimeout(late);
      }
      return await request.decode(body);
    },
    close: () => end("closed here"),
  };
}

function frame(
  request: KafkaRequest<unknown>,
  correlationId: number,
  clientId: string,
  chunks: readonly Uint8Array[],
): Buffer {
  const header = new Writer(64).int16(request.apiKey).int16(request.apiVersion).int32(correlationId).string(clientId);
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, header.length);
  return new Writer(4 + header.length).int32(size).raw(header.take()).take();
}

function write(socket: Socket, head: Buffer, chunks: readonly Uint8Array[]): void {
  socket.cork();
  socket.write(head);
  for (const chunk of chunks) socket.write(chunk);
  socket.uncork();
}

// The largest answer is a fetch: bounded by what it asked for, or by one batch.
const ANSWER_MAX_BYTES = 256 * 1024 * 1024;

/** Cuts the stream of bytes into answers: size, correlation id, body. */
function createAnswers(onAnswer: (correlationId: number, body: Buffer) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let buffered = 0;
  let needed = 4;
  return (chunk) => {
    chunks.push(chunk);
    buffered += chunk.length;
    while (buffered >= needed) {
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, buffered);
      const size = bytes.readInt32BE(0);
      if (size < 4 || size > ANSWER_MAX_BYTES) throw new RangeError(`An answer of ${size} bytes is none of Kafka's`);
      // Joined again only when the whole answer is there.
      needed = 4 + size;
      chunks = [bytes];
      if (buffered < needed) return;
      const rest = bytes.subarray(needed);
      chunks = rest.length === 0 ? [] : [rest];
      buffered = rest.length;
      needed = 4;
      onAnswer(bytes.readInt32BE(4), bytes.subarray(8, 4 + size));
    }
  };
}
