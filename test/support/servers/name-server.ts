// A name server on loopback, over UDP and TCP on one port, that answers as a test tells it: well, late, wrongly or not at all.

import { createSocket } from "node:dgram";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause } from "../eventually.ts";

export interface Question {
  readonly name: string;
  readonly type: "A" | "AAAA";
  readonly over: "udp" | "tcp";
  /** As it came, from the id on. */
  readonly bytes: Buffer;
  /** The port that it came from. */
  readonly port: number;
  /** When it came, `performance.now()`. */
  readonly at: number;
}

export interface Line {
  readonly type: "A" | "AAAA" | "CNAME";
  /** IPv4 as usual, IPv6 as 32 hexadecimal digits, or a name. */
  readonly data: string;
  /** Default the name that was asked for. */
  readonly owner?: string;
  /** Seconds; default 60. */
  readonly ttl?: number;
}

export type Reply =
  /** Nothing is sent. */
  | "silent"
  /** It does not fit into a datagram. */
  | "truncated"
  | { readonly code: number }
  /** Only the lines of the type that was asked for, and aliases, are sent. */
  | readonly Line[]
  /** One datagram each, as they are. */
  | { readonly raw: readonly Buffer[] };

export interface NameServerStand {
  readonly port: number;
  /** All questions so far. */
  readonly asked: readonly Question[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens one. `reply` may take its time. */
export async function openNameServer(reply: (question: Question) => Reply | Promise<Reply>): Promise<NameServerStand> {
  const asked: Question[] = [];
  const udp = createSocket("udp4");
  const sockets = new Set<Socket>();
  const take = async (bytes: Buffer, over: "udp" | "tcp", port: number, send: (datagram: Buffer) => void) => {
    const question = { ...readQuestion(bytes), over, bytes, port, at: performance.now() };
    asked.push(question);
    for (const datagram of datagramsOf(question, await reply(question))) send(datagram);
  };
  udp.on("message", (bytes, from) => {
    void take(bytes, "udp", from.port, (datagram) => udp.send(datagram, from.port, from.address));
  });
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      void take(chunk.subarray(2), "tcp", socket.remotePort ?? 0, (datagram) => {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(datagram.length);
        socket.write(length);
        socket.write(datagram);
      });
    });
  });
  await new Promise<void>((listening) => tcp.listen(0, "127.0.0.1", listening));
  const { port } = tcp.address() as AddressInfo;
  await new Promise<void>((bound) => udp.bind(port, "127.0.0.1", bound));
  return {
    port,
    asked,
    [Symbol.asyncDispose]: async () => {
      udp.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => tcp.close(closed));
    },
  };
}

/** The system's files about names, as a test writes them. */
export interface OwnFiles {
  readonly hostsFile: string;
  readonly resolvConf: string;
  write(files: { readonly hosts?: string; readonly resolvConf?: string }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Default: no hosts, and the name server 127.0.0.1. */
export async function ownFiles(
  { hosts = "", resolvConf = "nameserver 127.0.0.1\n" }: { readonly hosts?: string; readonly resolvConf?: string } = {},
): Promise<OwnFiles> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-names-"));
  const paths = { hostsFile: join(directory, "hosts"), resolvConf: join(directory, "resolv.conf") };
  const write: OwnFiles["write"] = async (files) => {
    if (files.hosts !== undefined) await writeFile(paths.hostsFile, files.hosts);
    if (files.resolvConf !== undefined) await writeFile(paths.resolvConf, files.resolvConf);
  };
  await write({ hosts, resolvConf });
  return { ...paths, write, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** A reply that comes after `ms`. */
export async function after(ms: number, reply: Reply): Promise<Reply> {
  await pause(ms);
  return reply;
}

function readQuestion(bytes: Buffer): Pick<Question, "name" | "type"> {
  const labels: string[] = [];
  let at = 12;
  while (bytes[at]! > 0) {
    labels.push(bytes.toString("latin1", at + 1, at + 1 + bytes[at]!));
    at += 1 + bytes[at]!;
  }
  return { name: labels.join("."), type: bytes.readUInt16BE(at + 1) === 1 ? "A" : "AAAA" };
}

function datagramsOf(question: Question, reply: Reply): readonly Buffer[] {
  if (reply === "silent") return [];
  if (reply === "truncated") return [answerTo(question.bytes, [], { flags: 0x8380 })];
  if ("raw" in reply) return reply.raw;
  if ("code" in reply) return [answerTo(question.bytes, [], { flags: 0x8180 | reply.code })];
  const lines = reply.filter(({ type }) => type === "CNAME" || type === question.type);
  return [answerTo(question.bytes, lines.map((line) => record(question.name, line)))];
}

/** An answer's bytes. `count`: of its records, as it claims. */
export function answerTo(
  question: Buffer,
  records: readonly Buffer[],
  { flags = 0x8180, count = records.length, authorities = 0 } = {},
): Buffer {
  const answer = Buffer.concat([question, ...records]);
  answer.writeUInt16BE(flags, 2);
  answer.writeUInt16BE(count, 6);
  answer.writeUInt16BE(authorities, 8);
  return answer;
}

const TYPES = { A: 1, AAAA: 28, CNAME: 5 };

/** One record of an answer. */
export function record(asked: string, { type, data, owner = asked, ttl = 60 }: Line): Buffer {
  const value = type === "CNAME"
    ? nameBytes(data)
    : type === "A"
    ? Buffer.from(data.split(".").map(Number))
    : Buffer.from(data, "hex");
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(TYPES[type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(value.length, 8);
  return Buffer.concat([nameBytes(owner), fixed, value]);
}

export function nameBytes(name: string): Buffer {
  const labels = name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, "latin1")]);
  return Buffer.concat([...labels, Buffer.from([0])]);
}
