// An HTTP server that records every request byte for byte and answers as a test tells it. The topic server and the callback
// servers use it.

import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as it came. */
export interface Recorded {
  readonly method: string;
  /** The target as it stood in the request line, escapes untouched. */
  readonly url: string;
  /** What follows the first `?` of the target, raw; "" if nothing. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** Every header line in order, names as sent. */
  readonly headerLines: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** When its head arrived, `performance.now()`. */
  readonly at: number;
  /** When the answer had been handed to the socket or the connection was lost; undefined before. */
  endedAt: number | undefined;
  /** The status that was answered; undefined while there is none. */
  status: number | undefined;
}

export type Responder = (request: Recorded, response: ServerResponse) => void | Promise<void>;

export interface RecordingServer {
  readonly origin: string;
  readonly port: number;
  /** Lets `handle` answer every request whose target has this raw path. */
  route(path: string, handle: Responder): void;
  /** Stops listening and cuts every connection. The port can be opened again. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a recording server on 127.0.0.1 or another address; port 0 takes a free one. Unrouted paths are answered 404. */
export async function openRecordingServer(port = 0, host = "127.0.0.1"): Promise<RecordingServer> {
  const routes = new Map<string, Responder>();
  // A hub keeps connections for long. If the server closed an idle one just as a request comes, an attempt would be lost.
  const server = createServer({ keepAliveTimeout: 300_000, requestTimeout: 0 }, (request, response) => {
    const at = performance.now();
    response.on("error", () => {});
    readBody(request).then(async (body) => {
      const recorded = record(request, body, at);
      response.on("close", () => {
        recorded.endedAt ??= performance.now();
      });
      response.on("finish", () => {
        recorded.endedAt = performance.now();
        recorded.status = response.statusCode;
      });
      const handle = routes.get(recorded.url.split("?", 1)[0] ?? "");
      if (handle === undefined) response.writeHead(404).end();
      else await handle(recorded, response);
    }).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = (server.address() as AddressInfo).port;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    origin: `http://${host}:${bound}`,
    port: bound,
    route: (path, handle) => void routes.set(path, handle),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function record(request: IncomingMessage, body: Buffer, at: number): Recorded {
  const url = request.url ?? "";
  const mark = url.indexOf("?");
  const lines: [string, string][] = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    lines.push([request.rawHeaders[i] ?? "", request.rawHeaders[i + 1] ?? ""]);
  }
  return {
    method: request.method ?? "",
    url,
    query: mark === -1 ? "" : url.slice(mark + 1),
    headers: request.headers,
    headerLines: lines,
    body,
    at,
    endedAt: undefined,
    status: undefined,
  };
}
