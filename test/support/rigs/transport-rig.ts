// A server that does as it is told with the socket of each request, and one POST to it by the delivery transport.
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { Post, Transport } from "../../../core/delivery/sending/transport.ts";
import { parseHttpUrl } from "../../../shared/http-url.ts";

export type Result = { readonly status: number; readonly retryAfter: string | undefined } | { readonly failed: string };

/** Reads each request whole, and then calls `respond` with its socket. */
export class RawServer {
  readonly requests: string[] = [];
  readonly sockets = new Set<Socket>();
  connections = 0;
  /** The socket of the newest request. */
  last: Socket | undefined;
  respond: (socket: Socket, request: string) => void = (socket) => void socket.write("HTTP/1.1 204 No Content\r\n\r\n");
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
      let received = "";
      socket.on("data", (part) => {
        received += part.toString("latin1");
        const head = received.indexOf("\r\n\r\n");
        const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0);
        if (head < 0 || received.length < head + 4 + length) return;
        const request = received.slice(0, head + 4 + length);
        received = received.slice(head + 4 + length);
        this.requests.push(request);
        this.last = socket;
        this.respond(socket, request);
      });
    });
  }
  async open(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/callback?x=1`;
  }
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Sends; resolves with what came of it, and rejects if it is told twice. */
export function sendPost(
  transport: Transport,
  url: string,
  { body = Buffer.from("body"), headers = ["content-type", "text/plain"], mayGo = () => true, requester = "" }: {
    body?: Buffer;
    headers?: string[];
    mayGo?: () => boolean;
    requester?: string;
  } = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let told = 0;
    const tell = (result: Result) => {
      if (++told > 1) reject(new Error("told twice"));
      // Long enough for a second telling to be seen.
      setTimeout(resolve, 10, result);
    };
    const post: Post = {
      url: parseHttpUrl(url),
      body,
      requester,
      headers,
      mayGo,
      answered: (status, retryAfter) => tell({ status, retryAfter }),
      failed: (reason) => tell({ failed: reason }),
    };
    transport.post(post);
  });
}
