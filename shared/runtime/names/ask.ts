// One question to one name server: over UDP, and over TCP where the answer does not fit (RFC 7766). Each question has an id and a
// port that nobody can guess, and only the server that was asked can answer it (RFC 5452).

import { createSocket } from "node:dgram";
import { connect } from "node:net";
import ipaddr from "ipaddr.js";
import { randomBytes } from "../../random.ts";
import { timeLimit } from "../../time-limit.ts";
import { readAnswer, writeQuestion } from "./message.ts";
import type { Family, Reading } from "./message.ts";

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

export type Answer = Exclude<Reading, { readonly kind: "not ours" | "truncated" }>;

export interface Asking {
  readonly server: NameServer;
  /** An askable name (message.ts). */
  readonly name: string;
  readonly family: Family;
  /** For the whole answer, ms. */
  readonly timeoutMs: number;
  /** Over TCP from the first. */
  readonly tcp: boolean;
}

/** What a name server answered. @throws {Error} if no answer came in time, or if `signal` aborts */
export async function ask(asking: Asking, signal: AbortSignal): Promise<Answer> {
  const id = randomBytes(2);
  const question = writeQuestion(id[0]! << 8 | id[1]!, asking.name, asking.family);
  const limit = timeLimit(asking.timeoutMs, signal);
  try {
    let answer = asking.tcp ? undefined : await askByUdp(asking.server, question, limit.signal);
    if (answer === undefined || answer.kind === "truncated") {
      answer = await askByTcp(asking.server, question, limit.signal);
    }
    // What does not fit over TCP either, or does not answer the only question of its connection, is of no use.
    return answer.kind === "truncated" || answer.kind === "not ours" ? { kind: "unable" } : answer;
  } finally {
    limit.end();
  }
}

function askByUdp({ address, port }: NameServer, question: Buffer, signal: AbortSignal): Promise<Reading> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const end = () => {
      signal.removeEventListener("abort", onAbort);
      socket.removeAllListeners("message");
      socket.close();
    };
    const fail = (error: Error) => {
      if (isClosed) return;
      isClosed = true;
      end();
      reject(error);
    };
    let isClosed = false;
    const onAbort = () => fail(new Error(`no answer from the name server ${address}`));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    socket.on("error", fail);
    socket.on("message", (bytes, from) => {
      // A connected socket hears nobody else, but Deno does not connect it.
      if (isClosed || from.port !== port || !isSame(from.address, address)) return;
      const reading = readAnswer(bytes, question);
      if (reading.kind === "not ours") return;
      isClosed = true;
      end();
      resolve(reading);
    });
    const send = (error?: Error | null) => {
      // A socket that could not be connected must not send: that would throw.
      if (error) return fail(error);
      if (!isClosed) socket.send(question, (error) => error && fail(error));
    };
    // Connected, a socket hears at once that nobody listens at a port. The type leaves out that the callback may get an error.
    socket.connect(port, address, send as () => void);
  });
}

function isSame(one: string, other: string): boolean {
  return one === other || ipaddr.isValid(one) && ipaddr.process(one).toString() === ipaddr.process(other).toString();
}

function askByTcp({ address, port }: NameServer, question: Buffer, signal: AbortSignal): Promise<Reading> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port });
    const chunks: Buffer[] = [];
    let [size, wanted] = [0, Infinity];
    const onAbort = () => socket.destroy();
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    socket.on("error", reject);
    socket.on("close", () => {
      signal.removeEventListener("abort", onAbort);
      reject(new Error(`no answer from the name server ${address} over TCP`));
    });
    socket.on("data", (chunk: Buffer) => {
      if (size >= wanted) return;
      chunks.push(chunk);
      size += chunk.length;
      if (wanted === Infinity && size >= 2) wanted = 2 + Buffer.concat(chunks).readUInt16BE(0);
      if (size < wanted) return;
      resolve(readAnswer(Buffer.concat(chunks).subarray(2, wanted), question));
      socket.destroy();
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(question.length);
    socket.write(Buffer.concat([length, question]));
  });
}
