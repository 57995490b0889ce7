// Serving on Node, Deno and Bun alike, which all have node:http: it knows more of a request than their own servers do (its target as
// sent, on Bun), of its limits, and of certificates that change. Every limit is explicit, and every refusal is a sentence.

import { createServer, maxHeaderSize } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { getLogger } from "@logtape/logtape";
import { Connections } from "./connections.ts";
import { lingerAfter } from "./linger.ts";
import { pipelineOf } from "./pipeline.ts";
import { MOST_HEADERS, refuse, refuseRequest } from "./refusals.ts";
import { cutStalled } from "./stall.ts";
import { createTlsFront } from "./tls-front.ts";
import { runtime } from "./which.ts";
import { listenError, serveUrl } from "../serve.ts";
import type { BodyFlow, Exchange, Served, ServeOptions, ServeTls } from "../serve.ts";

/**
 * Listens and serves; resolves when the port is open. Bodies are read straight from the socket's stream when the handler asks for
 * `arrayBuffer()`.
 * @throws {Error} with a sentence for people, such as "… port 9191 is already in use"
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { hostname, port, tls } = options;
  checkHeaderLimit(options);
  const listener = createListener(options, answering(options));
  const { server } = listener;
  const connections = new Connections(server, options);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error) => reject(listenError(error, options));
    server.once("error", onError);
    server.listen({ host: hostname, port, backlog: BACKLOG }, () => {
      server.off("error", onError);
      resolve();
    });
  });
  const bound = (server.address() as AddressInfo).port;
  let closing: Promise<void> | undefined;
  return {
    url: serveUrl(hostname, bound, tls),
    port: bound,
    useTls: (next) => {
      if (tls === undefined) throw new Error("This server was not started with TLS");
      (server as TlsServer).setSecureContext(contextOf(next));
    },
    close: (deadlineMs) => closing ??= closeListener(listener, connections, deadlineMs),
  };
}

/** Bun has one limit for the whole process beside that of a server. @throws {Error} if the process was started with a lower one */
function checkHeaderLimit({ maxHeaderBytes = 0 }: ServeOptions): void {
  if (runtime() !== "bun" || maxHeaderBytes <= maxHeaderSize) return;
  throw new Error(
    `Cannot take headers of ${maxHeaderBytes} bytes: Bun was started with a limit of ${maxHeaderSize} bytes, ` +
      `so start it with --max-http-header-size=${maxHeaderBytes}`,
  );
}

/** Connections that the system accepts ahead of this process. It drops more than that, and who is dropped tries again after a second. */
const BACKLOG = 4_096;

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** The server that listens, and how the connections that wait for no answer are closed. */
interface Listener {
  readonly server: Server;
  readonly closeIdle: () => void;
}

/** An option of net's servers that the types of TLS servers lack: without it their sockets end when the client ends its side. */
const HALF_OPEN = { allowHalfOpen: true };

function createListener(options: ServeOptions, answer: Answer): Listener {
  const { tls, maxHeaderBytes = 16 * 1024, headersTimeoutMs = 10_000, requestTimeoutMs = 60_000 } = options;
  const limits = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs ?? 65_000,
    connectionsCheckingInterval: Math.min(1_000, headersTimeoutMs, requestTimeoutMs),
    // `answer` refuses a missing Host with a sentence. HTTP/1.0 has no Host, and load balancers still probe with it.
    requireHostHeader: false,
  };
  const isFronted = tls !== undefined && runtime() === "bun";
  const server: HttpServer = tls === undefined || isFronted
    ? createServer(limits, answer)
    : createTlsServer({ ...limits, ...contextOf(tls), ...HALF_OPEN, handshakeTimeout: headersTimeoutMs }, answer);
  // One more than are taken: a runtime may leave out those over its limit, and the request must be refused then.
  server.maxHeadersCount = MOST_HEADERS + 1;
  // A request with an unknown expectation comes by itself; `answer` refuses it.
  server.on("checkExpectation", answer);
  // A client may end its side when its request is whole, and waits for the answer (RFC 9112 §9.6).
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuse(error, socket as Socket, options));
  if (isFronted) return createTlsFront(server, { ...limits, context: contextOf(tls) });
  return { server, closeIdle: () => server.closeIdleConnections() };
}

/** What answers a request: by a refusal of the server's own, or by the handler. */
function answering(options: ServeOptions): Answer {
  const { hostname, port, stallTimeoutMs = 60_000 } = options;
  const listener = getRequestListener((request, { incoming, outgoing }) => {
    // The server speaks HTTP/1 only, so these are HTTP/1's types.
    return options.fetch(request, new NodeExchange(incoming as IncomingMessage, outgoing as ServerResponse));
  }, {
    hostname: new URL(serveUrl(hostname, port)).host,
    errorHandler: onHandlerError,
    // The adapter cuts a client off that is not done 0.5 s after its answer, which then may not arrive.
    autoCleanupIncoming: false,
  });
  const tellsLength = runtime() !== "bun";
  return (incoming, outgoing) => {
    const pipeline = pipelineOf(incoming.socket);
    if (pipeline.isOver) return;
    if (!pipeline.enter(outgoing, hasBody(incoming) ? incoming : undefined)) {
      incoming.socket.destroy();
      return;
    }
    // Only answers to GET are long.
    if (incoming.method === "GET") cutStalled(incoming.socket, outgoing, stallTimeoutMs);
    if (runtime() === "deno") refuseUnended(incoming, options);
    if (incoming.method !== "GET" || hasBody(incoming)) lingerAfter(incoming, outgoing);
    if (refuseRequest(incoming, outgoing, options)) return;
    // @hono/node-server writes an answer's length into a private field of Node's, which Bun has and does not read. If the field is
    // not as on Node, it sends the header instead.
    if (!tellsLength) Object.assign(outgoing, { _contentLength: undefined });
    pipeline.inTurn(() => void listener(incoming, outgoing));
  };
}

/** Deno waits for the rest of a request whose client has ended its side. */
function refuseUnended(incoming: IncomingMessage, options: ServeOptions): void {
  const { socket } = incoming;
  const onEnd = () => {
    if (incoming.complete) return;
    refuse(Object.assign(new Error("The client ended its side"), { code: "HPE_INVALID_EOF_STATE" }), socket, options);
  };
  socket.once("end", onEnd);
  incoming.once("close", () => socket.off("end", onEnd));
}

/** Whether a request has a body. One of a GET means nothing, but it has to be read, or the next request is not: Deno does not by itself. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
}

/** Ends the answer as soon as the client has ended its side. */
function endWithClient(socket: Socket, outgoing: ServerResponse): void {
  const leave = () => socket.destroySoon();
  if (socket.readableEnded) return leave();
  socket.once("end", leave);
  outgoing.once("close", () => socket.off("end", leave));
}

/** Most requests use at most one part of an exchange, so each part is made when it is used. */
class NodeExchange implements Exchange {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }
  /** undefined once the socket is closed. */
  get address(): string | undefined {
    return this.#incoming.socket.remoteAddress;
  }
  get target(): string {
    return this.#incoming.url ?? "";
  }
  get rest(): (ms: number) => void {
    const pipeline = pipelineOf(this.#incoming.socket);
    return (ms) => pipeline.rest(ms);
  }
  get breakOff(): () => void {
    return () => void this.#outgoing.destroy();
  }
  get endWithClient(): () => void {
    return () => endWithClient(this.#incoming.socket, this.#outgoing);
  }
  get flow(): BodyFlow {
    return new NodeBodyFlow(this.#incoming);
  }
}

type BodyListener = (...args: unknown[]) => void;
const BODY_EVENTS = ["data", "end", "error", "close"] as const;

class NodeBodyFlow implements BodyFlow {
  readonly #incoming: IncomingMessage;
  /** Who listened before the body's reader did. */
  #before: ReadonlySet<unknown> | undefined;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
  }
  watch(onPart: (bytes: number) => void): void {
    this.#before = new Set(BODY_EVENTS.flatMap((event) => this.#incoming.listeners(event)));
    this.#incoming.on("data", (part: Uint8Array) => onPart(part.length));
  }
  pause(): void {
    this.#incoming.pause();
  }
  resume(): void {
    this.#incoming.resume();
  }
  /** The reader's listeners hold all that it has read, as long as the connection is open. */
  drop(): void {
    for (const event of BODY_EVENTS) {
      for (const listener of this.#incoming.listeners(event)) {
        if (this.#before?.has(listener) !== true) this.#incoming.off(event, listener as BodyListener);
      }
    }
    // The client may still break off.
    this.#incoming.on("error", () => {});
  }
}

function contextOf({ cert, key, clientCa }: ServeTls) {
  const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert, key, minVersion: "TLSv1.2" as const, ...clients };
}

function closeListener(
  { server, closeIdle }: Listener,
  connections: Connections,
  deadlineMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    // A connection that was busy when the server closed becomes idle later, and would hold the server for the keep-alive time.
    const idle = setInterval(closeIdle, 50);
    const deadline = setTimeout(() => connections.destroyAll(), deadlineMs);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(deadline);
      resolve();
    });
  });
}

function onHandlerError(error: unknown): Response {
  if (error instanceof Error && error.name === "RequestError") {
    return new Response("The request target or the Host header is not valid.\n", { status: 400 });
  }
  // Handlers turn their own errors into answers; this is the net below them.
  getLogger(["tidings", "serve"]).error("A handler failed: {error}", { error });
  return new Response("Internal error.\n", { status: 500 });
}
