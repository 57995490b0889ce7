// One connection to one broker. Not kafkajs's: that one keeps half an answer across a reconnect, waits for pending requests
// when told to close, and a fetch waits there for the requests before it. Any failure ends this one; a new one is opened.
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { NoAnswer, NotAdmitted, TurnedAway } from "../protocol/kafka-error.ts";
import { authenticate } from "./sasl.ts";
import type { KafkaSasl, KafkaSecurity, KafkaTls } from "./security.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import { Writer } from "../protocol/wire.ts";

export interface Connection {
  /** @throws {NoAnswer} if the connection ends, or nothing comes within `timeoutMs` (which ends it) */
  send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer>;
  close(): void;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly security: KafkaSecurity;
  readonly connectTimeoutMs: number;
  /** Called once, when a connection that was opened has ended for whatever reason. */
  readonly onEnd: (reason: string) => void;
}

/** How much of the time for which we are known passes before we say again who we are (KIP-368). */
const KNOWN_FOR = 0.8;
const AUTHENTICATE_WITHIN_MS = 10_000;
const WANTS = "it may want TLS (TIDINGS_KAFKA_TLS_CA), a certificate (TIDINGS_KAFKA_TLS_CERT) or SASL " +
  "(TIDINGS_KAFKA_SASL_MECHANISM)";

interface Waiting {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** @throws {NoAnswer} if the broker cannot be reached in time @throws {NotAdmitted} if it does not let us in */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const where = `${options.host}:${options.port}`;
  const { tls, sasl } = options.security;
  const waiting = new Map<number, Waiting>();
  let answered = false;
  const answers = createAnswers((correlationId, body) => {
    answered = true;
    waiting.get(correlationId)?.resolve(body);
    waiting.delete(correlationId);
  }, tls === undefined);
  let correlation = 0;
  let ended: string | undefined;
  let notConnected: ((error: Error) => void) | undefined;

  const end = (reason: string, Kind: typeof NoAnswer = NoAnswer) => {
    if (ended !== undefined) return;
    ended = reason;
    socket.destroy();
    const error = new Kind(`${where}: ${reason}`);
    if (notConnected !== undefined) return notConnected(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    options.onEnd(reason);
  };

  const socket: Socket = tls === undefined ? connect({ host: options.host, port: options.port }) : connectTls({
    ...tlsOptions(tls),
    host: options.host,
    port: options.port,
    // A name only; an address is held against the certificate as it is.
    ...(isIP(options.host) === 0 ? { servername: options.host } : {}),
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  socket.on("error", (error: NodeJS.ErrnoException & { readonly reason?: string }) => {
    // What is wrong with a certificate, or with what should be TLS and is not.
    const distrust = /^(?:ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_|HOSTNAME)/.test(error.code ?? "");
    if (distrust) end(`no TLS with it: ${error.reason ?? error.message}`, NotAdmitted);
    else if (error.code === "ECONNRESET" && !answered) end(`the broker broke the connection off; ${WANTS}`, TurnedAway);
    else end(error.message);
  });
  socket.on("close", () => {
    if (answered) end("the broker closed the connection");
    else end(`the broker closed the connection without a word; ${WANTS}`, TurnedAway);
  });
  socket.on("data", (chunk) => {
    try {
      answers(chunk);
    } catch (error) {
      end(
        error instanceof Error ? error.message : String(error),
        error instanceof NotAdmitted ? NotAdmitted : NoAnswer,
      );
    }
  });
  await new Promise<void>((resolve, reject) => {
    notConnected = reject;
    const late = setTimeout(() => end(`no connection within ${options.connectTimeoutMs} ms`), options.connectTimeoutMs);
    socket.once("close", () => clearTimeout(late));
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(late);
      resolve();
    });
  });
  notConnected = undefined;

  async function send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer> {
    const chunks = request.encode();
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
    return request.decode(body);
  }

  let knownUntil = Infinity;
  let introducing: Promise<void> | undefined;
  let underWay = 0;
  let idle = () => {};
  async function introduce(who: KafkaSasl): Promise<void> {
    // The broker takes nothing else in between: what is under way is answered first, what comes waits.
    if (underWay > 0) await new Promise<void>((resolve) => idle = resolve);
    try {
      const lifetimeMs = await authenticate(who, (request) => send(request, AUTHENTICATE_WITHIN_MS), options);
      knownUntil = lifetimeMs > 0 ? performance.now() + lifetimeMs * KNOWN_FOR : Infinity;
    } catch (error) {
      if (ended !== undefined) throw error;
      const { message } = error as Error;
      end(message, error instanceof NotAdmitted ? NotAdmitted : NoAnswer);
      throw error instanceof NotAdmitted ? new NotAdmitted(`${where}: ${message}`, { cause: error }) : error;
    }
  }
  if (sasl !== undefined) await introduce(sasl);

  return {
    async send(request, timeoutMs) {
      while (sasl !== undefined && (introducing !== undefined || performance.now() >= knownUntil)) {
        await (introducing ??= introduce(sasl).finally(() => introducing = undefined));
      }
      underWay++;
      try {
        return await send(request, timeoutMs);
      } finally {
        if (--underWay === 0) idle();
      }
    },
    close: () => end("closed here"),
  };
}

function tlsOptions({ ca, cert, key }: KafkaTls) {
  return {
    minVersion: "TLSv1.2" as const,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
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
function createAnswers(
  onAnswer: (correlationId: number, body: Buffer) => void,
  plain: boolean,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let buffered = 0;
  let needed = 4;
  return (chunk) => {
    chunks.push(chunk);
    buffered += chunk.length;
    while (buffered >= needed) {
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, buffered);
      const size = bytes.readInt32BE(0);
      // A TLS alert, or a handshake: no answer of ours is that long.
      if (plain && /^(?:15|16)03/.test(bytes.toString("hex", 0, 2))) {
        throw new NotAdmitted("the broker speaks TLS; set TIDINGS_KAFKA_TLS_CA");
      }
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
