// What a hostile server writes to a raw socket after it has read a request. Topic servers and callbacks share the table.

import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { brotliCompressSync, gzipSync } from "node:zlib";

export interface HostileManner {
  readonly name: string;
  readonly act: (socket: Socket) => void;
  /** What a fetch yields: a status, or the code of its failure. */
  readonly fetch: "network" | "timeout" | "too_large" | 200;
  /** What a delivery yields. `either`: a reset may take bytes with it that have arrived already. */
  readonly delivery: "failed" | "either" | 200;
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

/** A connection under TLS has no reset of its own. */
function reset(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Writes for as long as the other side reads. */
function flood(head: string, block: string | Buffer): HostileManner["act"] {
  return (socket) => {
    // On Deno (2.9) an empty write under TLS holds back a long one that follows it.
    if (head !== "") socket.write(head, "latin1");
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
    if (head !== "") socket.write(head, "latin1");
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

const manner = (
  name: string,
  fetch: HostileManner["fetch"],
  delivery: HostileManner["delivery"],
  act: HostileManner["act"],
): HostileManner => ({ name, fetch, delivery, act });

/** Broken or endless answers. */
export const HOSTILE_MANNERS: readonly HostileManner[] = [
  manner("an endless body, chunked", "too_large", 200, flood(`${OK}transfer-encoding: chunked\r\n\r\n`, CHUNK)),
  manner("an endless body until close", "too_large", 200, flood(`${OK}\r\n`, BLOCK)),
  manner("100 MB, as its length says", "too_large", 200, flood(`${OK}content-length: 100000000\r\n\r\n`, BLOCK)),
  manner("a length of 2^63", "timeout", 200, write(`${OK}content-length: 9223372036854775808\r\n\r\nx`)),
  manner("a negative length", "network", "failed", write(`${OK}content-length: -1\r\n\r\nx`)),
  manner("a length that is no number", "network", "failed", write(`${OK}content-length: 1e3\r\n\r\nx`)),
  manner("two lengths", "network", "failed", write(`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nxy`)),
  manner(
    "a length and chunks",
    200,
    200,
    write(`${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
  ),
  manner("less than its length, then silence", "timeout", 200, write(`${OK}content-length: 100\r\n\r\nshort`)),
  manner(
    "less than its length, then the end",
    "network",
    200,
    (socket) => socket.end(`${OK}content-length: 9\r\n\r\nshort`),
  ),
  manner("less than its length, then a reset", "network", "either", (socket) => {
    socket.write(`${OK}content-length: 9\r\n\r\nshort`, () => reset(socket));
  }),
  manner("a byte at a time", "timeout", 200, drip(`${OK}content-length: 1000000\r\n\r\n`, "x", 25)),
  manner("a head a byte at a time", "timeout", "failed", drip(`${OK}x-slow: `, "x", 25)),
  manner("a head without an end", "network", "failed", flood(OK, "x-filler: 0123456789\r\n".repeat(3_000))),
  manner("one header of a megabyte", "network", "failed", write(`${OK}x: ${"y".repeat(1_000_000)}\r\n\r\n`)),
  manner("100,000 headers", "network", "failed", write(`${OK}${"x: y\r\n".repeat(100_000)}\r\n`)),
  manner(
    "trailers without an end",
    "network",
    200,
    flood(`${OK}transfer-encoding: chunked\r\n\r\n0\r\n`, "x: y\r\n".repeat(9_000)),
  ),
  manner(
    "a chunk extension without an end",
    "network",
    200,
    flood(`${OK}transfer-encoding: chunked\r\n\r\n1;x=`, BLOCK),
  ),
  manner(
    "a chunk of 2^64 bytes",
    "network",
    200,
    write(`${OK}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`),
  ),
  manner("chunks that lie", "network", 200, write(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nxxxxx\r\n0\r\n\r\n`)),
  manner("a flood of early answers", "network", "failed", flood("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2_000))),
  manner("early answers, slowly", "timeout", "failed", drip("", "HTTP/1.1 102 Processing\r\n\r\n", 25)),
  manner(
    "a switch of protocols",
    "network",
    "failed",
    write("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n"),
  ),
  manner("a status of 999,999", "network", "failed", write("HTTP/1.1 999999 X\r\n\r\n")),
  manner("a status line without an end", "network", "failed", flood("HTTP/1.1 200 ", BLOCK)),
  manner("HTTP/0.9", "network", "failed", (socket) => socket.end("<html>hello</html>")),
  manner(
    "HTTP/2",
    "network",
    "failed",
    write("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff"),
  ),
  manner(
    "noise",
    "network",
    "failed",
    write(Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7_919) % 256))),
  ),
  manner("NUL in a header", 200, 200, write(`${OK}x: a\0b\r\ncontent-length: 0\r\n\r\n`)),
  manner("a folded header", 200, 200, write(`${OK}x: a\r\n b\r\ncontent-length: 1\r\n\r\nx`)),
  manner("bare line feeds", 200, 200, write("HTTP/1.1 200 OK\ncontent-length: 1\n\nx")),
  manner("nothing at all", "timeout", "failed", () => {}),
  manner("the end at once", "network", "failed", (socket) => socket.end()),
  manner("a reset at once", "network", "failed", reset),
  manner("a gzip bomb", "too_large", 200, write(bomb("gzip", gzipSync(ZEROS)))),
  manner("a gzip bomb in gzip", "too_large", 200, write(bomb("gzip, gzip", gzipSync(gzipSync(ZEROS))))),
  manner("a brotli bomb", "too_large", 200, write(bomb("br", brotliCompressSync(ZEROS)))),
  manner("gzip that is none", "network", 200, write(bomb("gzip", Buffer.from("hello")))),
  manner("gzip that breaks off", "too_large", 200, write(bomb("gzip", gzipSync(ZEROS).subarray(0, 500)))),
  manner("a hundred codings", "network", 200, write(bomb(Array(100).fill("gzip").join(", "), Buffer.from("x")))),
  manner("two answers to one request", 200, 200, write(`${OK}content-length: 1\r\n\r\nx`.repeat(2))),
];
