// What a hostile server writes to a raw socket after it has read a request. Topic servers and callbacks share the table.

import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";

export interface HostileManner {
  readonly name: string;
  readonly act: (socket: Socket) => void;
}

/** A server that treats every request like this; `bytes` yields how much it has written. */
export interface HostileServer {
  readonly port: number;
  readonly requests: () => number;
  /** Sockets that are still open. */
  readonly open: () => number;
  readonly sent: () => number;
  /** What it does with a socket, given the request's head. */
  manner: (socket: Socket, head: string) => void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openHostileServer(
  listen: (onSocket: (socket: Socket) => void) => Server = (onSocket) => createServer(onSocket),
): Promise<HostileServer> {
  const sockets = new Set<Socket>();
  let requests = 0;
  let sent = 0;
  const server = listen((socket) => {
    sockets.add(socket);
    let received = "";
    socket.on("error", () => {});
    socket.on("close", () => {
      sent += socket.bytesWritten;
      sockets.delete(socket);
    });
    socket.on("data", (part) => {
      received = (received + part.toString("latin1")).slice(-200_000);
      const head = received.indexOf("\r\n\r\n");
      if (head < 0) return;
      const request = received.slice(0, head);
      received = "";
      requests++;
      hostile.manner(socket, request);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((closed) => server.close(closed));
  };
  const hostile: HostileServer = {
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    open: () => sockets.size,
    sent: () => sent + [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    manner: (socket) => socket.destroy(),
    close,
    [Symbol.asyncDispose]: close,
  };
  return hostile;
}

const OK = "HTTP/1.1 200 OK\r\n";
const write = (bytes: string | Buffer) => (socket: Socket) => void socket.write(bytes, "latin1");

/** Writes for as long as the other side reads. */
function flood(head: string, block: string | Buffer): HostileManner["act"] {
  return (socket) => {
    socket.write(head, "latin1");
    const more = () => {
      while (!socket.destroyed && socket.write(block, "latin1"));
    };
    socket.on("drain", more);
    more();
  };
}

/** Writes a piece every few ms. */
function drip(head: string, piece: string, everyMs: number): HostileManner["act"] {
  return (socket) => {
    socket.write(head, "latin1");
    const timer = setInterval(() => socket.write(piece, "latin1"), everyMs);
    socket.on("close", () => clearInterval(timer));
  };
}

const BLOCK = Buffer.alloc(65_536, "x");
/** Sends every block as a chunk. */
const CHUNK = Buffer.concat([Buffer.from("10000\r\n"), BLOCK, Buffer.from("\r\n")]);
const bomb = (encoding: string, bytes: Buffer) =>
  `${OK}content-encoding: ${encoding}\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes.toString("latin1")}`;
const ZEROS = Buffer.alloc(50_000_000);

/** Broken or endless answers. */
export const HOSTILE_MANNERS: readonly HostileManner[] = [
  { name: "an endless body, chunked", act: flood(`${OK}transfer-encoding: chunked\r\n\r\n`, CHUNK) },
  { name: "an endless body until close", act: flood(`${OK}\r\n`, BLOCK) },
  { name: "100 MB, as its length says", act: flood(`${OK}content-length: 100000000\r\n\r\n`, BLOCK) },
  { name: "a length of 2^63", act: write(`${OK}content-length: 9223372036854775808\r\n\r\nx`) },
  { name: "a negative length", act: write(`${OK}content-length: -1\r\n\r\nx`) },
  { name: "a length that is no number", act: write(`${OK}content-length: 1e3\r\n\r\nx`) },
  { name: "two lengths", act: write(`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nxy`) },
  { name: "a length and chunks", act: write(`${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`) },
  { name: "less than its length, then silence", act: write(`${OK}content-length: 100\r\n\r\nshort`) },
  { name: "less than its length, then the end", act: (socket) => socket.end(`${OK}content-length: 9\r\n\r\nshort`) },
  {
    name: "less than its length, then a reset",
    act: (socket) => {
      socket.write(`${OK}content-length: 9\r\n\r\nshort`, () => socket.resetAndDestroy());
    },
  },
  { name: "a byte at a time", act: drip(`${OK}content-length: 1000000\r\n\r\n`, "x", 25) },
  { name: "a head a byte at a time", act: drip(`${OK}x-slow: `, "x", 25) },
  { name: "a head without an end", act: flood(OK, "x-filler: 0123456789\r\n".repeat(3_000)) },
  { name: "one header of a megabyte", act: write(`${OK}x: ${"y".repeat(1_000_000)}\r\n\r\n`) },
  { name: "100,000 headers", act: write(`${OK}${"x: y\r\n".repeat(100_000)}\r\n`) },
  {
    name: "trailers without an end",
    act: flood(`${OK}transfer-encoding: chunked\r\n\r\n0\r\n`, "x: y\r\n".repeat(9_000)),
  },
  { name: "a chunk extension without an end", act: flood(`${OK}transfer-encoding: chunked\r\n\r\n1;x=`, BLOCK) },
  { name: "a chunk of 2^64 bytes", act: write(`${OK}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`) },
  { name: "chunks that lie", act: write(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nxxxxx\r\n0\r\n\r\n`) },
  { name: "a flood of early answers", act: flood("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2_000)) },
  { name: "early answers, slowly", act: drip("", "HTTP/1.1 102 Processing\r\n\r\n", 25) },
  { name: "a switch of protocols", act: write("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n") },
  { name: "a status of 999,999", act: write("HTTP/1.1 999999 X\r\n\r\n") },
  { name: "a status line without an end", act: flood("HTTP/1.1 200 ", BLOCK) },
  { name: "HTTP/0.9", act: (socket) => socket.end("<html>hello</html>") },
  { name: "HTTP/2", act: write("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff") },
  { name: "noise", act: write(Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7_919) % 256))) },
  { name: "NUL in a header", act: write(`${OK}x: a\0b\r\ncontent-length: 0\r\n\r\n`) },
  { name: "a folded header", act: write(`${OK}x: a\r\n b\r\ncontent-length: 1\r\n\r\nx`) },
  { name: "bare line feeds", act: write("HTTP/1.1 200 OK\ncontent-length: 1\n\nx") },
  { name: "nothing at all", act: () => {} },
  { name: "the end at once", act: (socket) => socket.end() },
  { name: "a reset at once", act: (socket) => socket.resetAndDestroy() },
  { name: "a gzip bomb", act: write(bomb("gzip", gzipSync(ZEROS))) },
  { name: "a gzip bomb in gzip", act: write(bomb("gzip, gzip", gzipSync(gzipSync(ZEROS)))) },
  { name: "a brotli bomb", act: write(bomb("br", brotliCompressSync(ZEROS))) },
  { name: "gzip that is none", act: write(bomb("gzip", Buffer.from("hello"))) },
  { name: "gzip that breaks off", act: write(bomb("gzip", gzipSync(ZEROS).subarray(0, 500))) },
  { name: "a hundred codings", act: write(bomb(Array(100).fill("gzip").join(", "), Buffer.from("x"))) },
  { name: "two answers to one request", act: write(`${OK}content-length: 1\r\n\r\nx`.repeat(2)) },
];
