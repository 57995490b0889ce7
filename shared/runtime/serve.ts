// Serving on Node, Deno and Bun alike, which all have node:http: it knows more of a request than their own servers do (its target as
// sent, on Bun), of its limits, and of certificates that change. Every limit is explicit, and every refusal is a sentence.

import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { getLogger } from "@logtape/logtape";
import { endLingering, lingerAfter } from "./linger.ts";
import { listenError, serveUrl } from "../serve.ts";
import type { Exchange, Served, ServeOptions, ServeTls } from "../serve.ts";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
};

/**
 * Listens and serves; resolves when the port is open. Bodies are read straight from the socket's stream when the handler asks for
 * `arrayBuffer()`.
 * @throws {Error} with a sentence for people, such as "… port 9191 is already in use"
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { hostname, port } = options;
  const listener = getRequestListener((request, { incoming, outgoing }) => {
    // The server speaks HTTP/1 only, so these are HTTP/1's types.
    return options.fetch(request, new NodeExchange(incoming as IncomingMessage, outgoing as ServerResponse));
  }, {
    hostname: new URL(serveUrl(hostname, port)).host,
    errorHandler: onHandlerError,
    // The adapter cuts a client off that is not done 0.5 s after its answer, which then may not arrive.
    autoCleanupIncoming: false,
  });
  const headersTimeout = options.headersTimeoutMs ?? 10_000;
  const requestTimeout = options.requestTimeoutMs ?? 60_000;
  const stallTimeout = options.stallTimeoutMs ?? 60_000;
  /** What is being answered on each socket, so that a parse error never writes into the middle of an answer. */
  const answering = new WeakMap<object, ServerResponse>();

  const answer = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    answering.set(incoming.socket, outgoing);
    // Only answers to GET are long. Node takes its own timeout back when the answer is complete.
    if (incoming.method === "GET") incoming.socket.setTimeout(stallTimeout);
    else lingerAfter(incoming, outgoing);
    if (incoming.headers.host === undefined && incoming.httpVersion === "1.1") {
      const sentence = "The Host header is missing; HTTP/1.1 requires one.\n";
      outgoing.writeHead(400, { "content-type": "text/plain; charset=utf-8", "content-length": sentence.length });
      outgoing.end(sentence);
      return;
    }
    void listener(incoming, outgoing);
  };
  const limits = {
    maxHeaderSize: options.maxHeaderBytes ?? 16 * 1024,
    headersTimeout: Math.min(headersTimeout, requestTimeout),
    requestTimeout,
    keepAliveTimeout: options.keepAliveTimeoutMs ?? 65_000,
    connectionsCheckingInterval: Math.min(1_000, headersTimeout, requestTimeout),
    // `answer` refuses a missing Host with a sentence. HTTP/1.0 has no Host, and load balancers still probe with it.
    requireHostHeader: false,
  };
  const { tls } = options;
  const tlsServer = tls === undefined
    ? undefined
    : createTlsServer({ ...limits, ...contextOf(tls), handshakeTimeout: headersTimeout }, answer);
  const server = tlsServer ?? createServer(limits, answer);
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections;
  server.on("drop", () => options.onRefused?.("connections"));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    refuse(error, socket as Socket, answering.get(socket), options);
  });

  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error) => reject(listenError(error, hostname, port));
    server.once("error", onError);
    server.listen({ host: hostname, port }, () => {
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
      if (tlsServer === undefined) throw new Error("This server was not started with TLS");
      (tlsServer as TlsServer).setSecureContext(contextOf(next));
    },
    close: (deadlineMs) => closing ??= closeServer(server, deadlineMs),
  };
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
    const { socket } = this.#incoming;
    return (ms) => {
      this.#outgoing.once("finish", () => {
        socket.pause();
        setTimeout(() => socket.resume(), ms).unref();
      });
    };
  }
  get breakOff(): () => void {
    return () => void this.#outgoing.destroy();
  }
}

function contextOf({ cert, key, clientCa }: ServeTls) {
  const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert, key, minVersion: "TLSv1.2" as const, ...clients };
}

function closeServer(server: Server, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A connection that was busy when the server closed becomes idle later, and would hold the server for the keep-alive time.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(deadline);
      resolve();
    });
  });
}

/** Answers what Node's parser or its timeouts refuse. The handler has not seen the request, or its answer no longer matters. */
function refuse(
  error: NodeJS.ErrnoException,
  socket: Socket,
  answer: ServerResponse | undefined,
  options: ServeOptions,
): void {
  if (error.code === "HPE_HEADER_OVERFLOW") options.onRefused?.("headers");
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") options.onRefused?.("deadline");
  // The answer to this request is on its way, or the request has it already and its body never ended.
  const begun = answer !== undefined && answer.headersSent && !(answer.writableFinished && answer.req.complete);
  // A failed handshake cannot be answered in HTTP.
  const isHandshake = /^(?:ERR_SSL_|ERR_TLS_|EPROTO)/.test(error.code ?? "");
  if (error.code === "ECONNRESET" || isHandshake || !socket.writable || begun) {
    socket.destroy();
    return;
  }
  const [status, sentence] = refusal(error, options);
  const body = `${sentence}\n`;
  endLingering(
    socket,
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function refusal(error: NodeJS.ErrnoException, options: ServeOptions): [number, string] {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return [431, `The request line and headers together must be at most ${options.maxHeaderBytes ?? 16_384} bytes.`];
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return [413, "The chunk extensions of the request body are too long; send none."];
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, "The request was not complete in time; send its headers and its whole body without pause."];
    default:
      return [400, `The request is not valid HTTP/1.1 (${error.code ?? "unknown"}).`];
  }
}

function onHandlerError(error: unknown): Response {
  if (error instanceof Error && error.name === "RequestError") {
    return new Response("The request target or the Host header is not valid.\n", { status: 400 });
  }
  // Handlers turn their own errors into answers; this is the net below them.
  getLogger(["tidings", "serve"]).error("A handler failed: {error}", { error });
  return new Response("Internal error.\n", { status: 500 });
}
