// HTTP by hand on a socket: requests that no client would send, and the answer as it comes.

import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface RawAnswer {
  /** 0 if no answer came. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** Whether the server closed the connection before the deadline. */
  readonly closed: boolean;
}

export interface RawOptions {
  readonly deadlineMs?: number;
  readonly untilClosed?: boolean;
  /** With TLS, and an authority (PEM) of the server's certificate. */
  readonly ca?: string | undefined;
}

/** Writes to a new connection and reads until the server closes it or an answer of Content-Length bytes is there. */
export function exchangeRaw(
  port: number,
  write: string | Uint8Array | ((socket: Socket) => void | Promise<void>),
  { deadlineMs = 10_000, untilClosed = false, ca }: RawOptions = {},
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const socket = ca === undefined ? connect(port, "127.0.0.1") : connectTls({ port, host: "127.0.0.1", ca });
    let received = "";
    const end = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...parse(received), closed });
    };
    const timer = setTimeout(end, deadlineMs, false);
    socket.on("error", () => {});
    socket.on("close", () => end(true));
    socket.on("data", (part) => {
      received += part.toString("latin1");
      if (!untilClosed && isComplete(received)) end(false);
    });
    socket.on(ca === undefined ? "connect" : "secureConnect", () => {
      if (typeof write !== "function") socket.write(write);
      else Promise.resolve(write(socket)).catch(() => {});
    });
  });
}

function isComplete(received: string): boolean {
  const { head, body } = parse(received);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  return length !== undefined && body.length >= Number(length);
}

function parse(received: string): { status: number; head: string; body: string } {
  const end = received.indexOf("\r\n\r\n");
  const head = end === -1 ? received : received.slice(0, end);
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0),
    head,
    body: end === -1 ? "" : received.slice(end + 4),
  };
}
