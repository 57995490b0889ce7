// A client that keeps one connection for many requests, writes any bytes, and reads answers by their framing. It opens a new
// connection after the server has closed.

import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";

export interface RawRequest {
  readonly bytes: Buffer;
  /** An answer to HEAD has no body, whatever its length says. */
  readonly head: boolean;
}

export interface RawReply {
  /** 0 if the connection ended or nothing came in time. */
  readonly status: number;
  readonly headers: string;
  readonly body: string;
  /** The connection of an endless answer; it belongs to the caller. */
  readonly events?: Socket;
}

const NO_REPLY: RawReply = { status: 0, headers: "", body: "" };

export class RawClient {
  readonly #port: number;
  readonly #deadlineMs: number;
  #socket: Socket | undefined;
  #received = "";
  #wake = () => {};

  constructor(port: number, deadlineMs = 20_000) {
    this.#port = port;
    this.#deadlineMs = deadlineMs;
  }

  /** Sends one request and resolves with its answer. Never rejects. */
  async exchange({ bytes, head }: RawRequest): Promise<RawReply> {
    const socket = await this.#connected();
    if (socket === undefined) return NO_REPLY;
    this.#received = "";
    const late = setTimeout(() => socket.destroy(), this.#deadlineMs);
    socket.write(bytes);
    let reply = parse(this.#received, head, socket.destroyed);
    while (reply === undefined) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      reply = parse(this.#received, head, socket.destroyed);
    }
    clearTimeout(late);
    if (!head && reply.status === 200 && EVENTS.test(reply.headers)) {
      this.#socket = undefined;
      return { ...reply, events: socket };
    }
    if (reply.status === 0 || /^connection: close/im.test(reply.headers)) this.close();
    return reply;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connected(): Promise<Socket | undefined> {
    if (this.#socket?.destroyed === false && this.#socket.writable) return this.#socket;
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    const wake = () => this.#wake();
    socket.on("error", () => {});
    socket.on("data", (part) => {
      // An old connection's data is not an answer to this request.
      if (this.#socket !== socket) return;
      this.#received += part.toString("latin1");
      wake();
    });
    // Our half may still be open, but nothing more will come.
    socket.on("end", () => socket.destroy());
    socket.on("close", wake);
    try {
      await once(socket, "connect");
      return socket;
    } catch {
      return undefined;
    }
  }
}

const EVENTS = /^content-type: *text\/event-stream/im;

/** undefined while the answer is incomplete. */
function parse(received: string, head: boolean, over: boolean): RawReply | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return over ? NO_REPLY : undefined;
  const headers = received.slice(0, end);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(headers)?.[1] ?? 0);
  const body = received.slice(end + 4);
  if (head || status === 204 || status === 304 || EVENTS.test(headers)) return { status, headers, body: "" };
  const length = /^content-length: *(\d+)$/im.exec(headers)?.[1];
  const whole = length === undefined
    ? /^transfer-encoding: *chunked$/im.test(headers) ? body.endsWith("0\r\n\r\n") : over
    : body.length >= Number(length);
  if (whole) return { status, headers, body };
  return over ? NO_REPLY : undefined;
}
