// Serves HTTP behind a TLS server of its own, for Bun: its HTTPS server cannot change its certificate, and neither ends nor counts the
// connections whose handshake never ends. An HTTP server looks after connections only if it has accepted them itself, so this file
// keeps the times for the head, the body and the next request, and closes connections that are idle.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer, type Server as TlsServer, type TlsOptions, type TLSSocket } from "node:tls";

export interface TlsFrontOptions {
  readonly context: TlsOptions;
  /** Until the handshake is complete, and until the headers are, ms. */
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly connectionsCheckingInterval: number;
}

/** The server that listens, and how the connections that wait for no answer are closed. */
export interface TlsFront {
  readonly server: TlsServer;
  readonly closeIdle: () => void;
}

interface Connection {
  /** How many requests are not answered yet. */
  open: number;
  /** Between an answer and the first byte of the next request. */
  idle: boolean;
  /** When the request began, or the connection became idle; monotonic ms. */
  since: number;
  request?: IncomingMessage;
}

export function createTlsFront(http: Server, options: TlsFrontOptions): TlsFront {
  const connections = new Map<TLSSocket, Connection>();
  const handshakeTimeout = options.headersTimeout;
  const server = createServer({
    ...options.context,
    allowHalfOpen: true,
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout,
  }, (socket) => {
    const connection: Connection = { open: 0, idle: false, since: performance.now() };
    connections.set(socket, connection);
    socket.once("close", () => connections.delete(socket));
    http.emit("connection", socket);
    socket.on("data", () => {
      if (!connection.idle) return;
      connection.idle = false;
      connection.since = performance.now();
    });
  });
  // A failed handshake has no HTTP to be answered in.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const socket = incoming.socket as TLSSocket;
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.open++;
    connection.request = incoming;
    const rest = () => {
      if (connection.open > 0) return;
      connection.idle = true;
      connection.since = performance.now();
    };
    outgoing.once("close", () => {
      connection.open--;
      // The end of a body that the handler did not want comes after the answer.
      if (incoming.complete) rest();
      else incoming.once("end", rest);
    });
  };
  // A request comes by one of the two.
  http.prependListener("request", onRequest).prependListener("checkExpectation", onRequest);

  function check(): void {
    for (const [socket, connection] of connections) {
      const elapsed = performance.now() - connection.since;
      if (connection.idle) {
        if (elapsed >= options.keepAliveTimeout) socket.destroy();
      } else if (elapsed >= timeoutOf(connection)) {
        // It is refused only once.
        connection.since = Infinity;
        http.emit(
          "clientError",
          Object.assign(new Error("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }),
          socket,
        );
      }
    }
  }
  function timeoutOf({ request, open }: Connection): number {
    if (request?.complete === false) return options.requestTimeout;
    return open > 0 ? Infinity : options.headersTimeout;
  }
  const checking = setInterval(check, options.connectionsCheckingInterval);
  checking.unref();
  server.once("close", () => clearInterval(checking));
  return {
    server,
    closeIdle: () => connections.forEach(({ idle }, socket) => idle && socket.destroy()),
  };
}
