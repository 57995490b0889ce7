// Questions to a name server and its answers (RFC 1035 §4). Of an answer only what leads to the addresses of the name is read: no
// other record can do harm, whatever is in it. The time to read an answer is bounded, and nothing here throws.

import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

/** What one answer of a name server says about one family of addresses of one name. */
export type Reading =
  /** It answers another question, or is no answer: the right one may still come. */
  | { readonly kind: "not ours" }
  /** It did not fit; over TCP there is more. */
  | { readonly kind: "truncated" }
  /** The server cannot or will not say; another one may. */
  | { readonly kind: "unable" }
  /** The name does not exist, or has no address of this family. */
  | { readonly kind: "none" }
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** The name is an alias of a name that the answer says nothing about. */
  | { readonly kind: "alias"; readonly name: string; readonly ttlMs: number };

const HEADER_BYTES = 12;
const TYPES = { 4: 1, 6: 28 } as const;
const CNAME = 5;
const INTERNET = 1;
/** Records of one answer that are read. */
const MOST_RECORDS = 256;
/** Addresses of one family that are used; what is not used is not dialled. */
const MOST_ADDRESSES = 32;
const MOST_ALIASES = 16;
const RESPONSE = 0x8000;
const OPCODE = 0x7800;
const TRUNCATED = 0x0200;
const NO_ERROR = 0;
const NO_SUCH_NAME = 3;

/** Whether a name can be asked for: labels of 1 to 63 printable ASCII characters, 253 in all (RFC 1035 §2.3.4). No final dot. */
export function isAskable(name: string): boolean {
  return name.length <= 253 && /^[!-~]+$/.test(name) &&
    name.split(".").every(({ length }) => length > 0 && length <= 63);
}

/** The question for the addresses of an askable name, recursion desired. */
export function writeQuestion(id: number, name: string, family: Family): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + name.length + 2 + 4);
  bytes.writeUInt16BE(id, 0);
  bytes[2] = 0x01;
  bytes[5] = 1;
  let at = HEADER_BYTES;
  for (const label of name.split(".")) {
    bytes[at] = label.length;
    bytes.write(label, at + 1, "latin1");
    at += 1 + label.length;
  }
  bytes.writeUInt16BE(TYPES[family], at + 1);
  bytes.writeUInt16BE(INTERNET, at + 3);
  return bytes;
}

/** Reads what a name server sent in answer to `question`. */
export function readAnswer(bytes: Buffer, question: Buffer): Reading {
  if (!answers(bytes, question)) return { kind: "not ours" };
  const flags = bytes.readUInt16BE(2);
  if ((flags & TRUNCATED) !== 0) return { kind: "truncated" };
  const code = flags & 0xf;
  if (code === NO_SUCH_NAME) return { kind: "none" };
  if (code !== NO_ERROR) return { kind: "unable" };
  const type = question.readUInt16BE(question.length - 4);
  const asked = readName(question, HEADER_BYTES);
  const records = readRecords(bytes, question.length, type);
  if (asked === undefined || records === undefined) return { kind: "unable" };
  return follow(asked.name, records, bytes.readUInt16BE(8) > 0);
}

/** Whether these bytes are the answer to the question: same id, same name, type and class. */
function answers(bytes: Buffer, question: Buffer): boolean {
  if (bytes.length < question.length || bytes.readUInt16BE(0) !== question.readUInt16BE(0)) return false;
  if ((bytes.readUInt16BE(2) & (RESPONSE | OPCODE)) !== RESPONSE || bytes.readUInt16BE(4) !== 1) return false;
  for (let at = HEADER_BYTES; at < question.length; at++) {
    // A letter in the other case is the same letter (RFC 4343); for all other bytes of a question this changes nothing that counts.
    if (lower(bytes[at]!) !== lower(question[at]!)) return false;
  }
  return true;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

interface Records {
  readonly addresses: Map<string, { readonly list: string[]; ttl: number }>;
  readonly aliases: Map<string, { readonly name: string; readonly ttl: number }>;
}

/** The addresses and aliases in the answer's first section, by owner. undefined: its bytes make no sense. */
function readRecords(bytes: Buffer, start: number, wanted: number): Records | undefined {
  const records: Records = { addresses: new Map(), aliases: new Map() };
  const count = Math.min(bytes.readUInt16BE(6), MOST_RECORDS);
  let at = start;
  for (let n = 0; n < count; n++) {
    const owner = readName(bytes, at);
    if (owner === undefined || owner.end + 10 > bytes.length) return undefined;
    const [type, ofClass] = [bytes.readUInt16BE(owner.end), bytes.readUInt16BE(owner.end + 2)];
    // RFC 2181 §8: a number with the first bit set counts as 0.
    const ttl = Math.max(0, bytes.readInt32BE(owner.end + 4));
    const data = owner.end + 10;
    at = data + bytes.readUInt16BE(owner.end + 8);
    if (at > bytes.length) return undefined;
    if (ofClass !== INTERNET) continue;
    if (type === CNAME) {
      const target = readName(bytes, data);
      if (target === undefined) return undefined;
      records.aliases.set(owner.name, { name: target.name, ttl });
    } else if (type === wanted) {
      if (at - data !== (wanted === TYPES[4] ? 4 : 16)) return undefined;
      const known = records.addresses.get(owner.name) ?? { list: [], ttl };
      if (known.list.length < MOST_ADDRESSES) {
        known.list.push(ipaddr.fromByteArray([...bytes.subarray(data, at)]).toString());
      }
      known.ttl = Math.min(known.ttl, ttl);
      records.addresses.set(owner.name, known);
    }
  }
  return records;
}

/** Follows the aliases from a name to its addresses. `isWhole`: the server says that it knows of no more. */
function follow(asked: string, { addresses, aliases }: Records, isWhole: boolean): Reading {
  let [name, ttl] = [asked, Infinity];
  for (let n = 0; n <= MOST_ALIASES; n++) {
    const found = addresses.get(name);
    if (found !== undefined) {
      return { kind: "addresses", addresses: found.list, ttlMs: 1_000 * Math.min(ttl, found.ttl) };
    }
    const alias = aliases.get(name);
    if (alias === undefined) {
      return name === asked || isWhole || !isAskable(name)
        ? { kind: "none" }
        : { kind: "alias", name, ttlMs: 1_000 * ttl };
    }
    [name, ttl] = [alias.name, Math.min(ttl, alias.ttl)];
  }
  return { kind: "unable" };
}

/**
 * Reads a name in lower case, and where it ends. Pointers lead backwards only, so none leads in a circle. undefined: it makes no
 * sense.
 */
function readName(bytes: Buffer, start: number): { readonly name: string; readonly end: number } | undefined {
  let [at, before, end, length] = [start, start, -1, 0];
  const labels: string[] = [];
  for (;;) {
    const size = bytes[at];
    if (size === undefined) return undefined;
    if (size === 0) return { name: labels.join("."), end: end < 0 ? at + 1 : end };
    if (size >= 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined) return undefined;
      if (end < 0) end = at + 2;
      at = (size & 0x3f) << 8 | low;
      if (at >= before) return undefined;
      before = at;
      continue;
    }
    length += size + 1;
    if (size > 63 || length > 254 || at + 1 + size > bytes.length) return undefined;
    labels.push(bytes.toString("latin1", at + 1, at + 1 + size).toLowerCase());
    at += 1 + size;
  }
}
