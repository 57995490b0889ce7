// The public cursor: opaque, versioned, bound to its topic (WIRE §5). It names a message and means everything after it.
import { createHash } from "node:crypto";
import type { Position } from "../log/log.ts";

const VERSION = 1;
// version 1 · topic hash 8 · partition 2 · next offset 7 · checksum 4
const BYTES = 22;

export class CursorError extends Error {}

/** The cursor of the message at a position: 30 characters of base64url. The offset -1 means "before the first message". */
export function encodeCursor(topicId: string, { partition, offset }: Position): string {
  const bytes = Buffer.alloc(BYTES);
  bytes[0] = VERSION;
  Buffer.from(topicId, "base64url").copy(bytes, 1, 0, 8);
  bytes.writeUInt16BE(partition, 9);
  const next = offset + 1;
  bytes.writeUIntBE(Math.floor(next / 2 ** 32), 11, 3);
  bytes.writeUInt32BE(next % 2 ** 32, 14);
  checksum(bytes).copy(bytes, 18);
  return bytes.toString("base64url");
}

/**
 * The position of the message that a cursor names.
 * @throws {CursorError} if it is not a cursor of this hub, or is one of another topic; its text follows the parameter's name
 */
export function decodeCursor(topicId: string, cursor: string): Position {
  const bytes = /^[A-Za-z0-9_-]{1,64}$/.test(cursor) ? Buffer.from(cursor, "base64url") : Buffer.alloc(0);
  if (bytes.length > 0 && bytes[0] !== VERSION) throw new CursorError("is a cursor of another version of this hub");
  if (bytes.length !== BYTES || !checksum(bytes).equals(bytes.subarray(18)) || bytes.toString("base64url") !== cursor) {
    throw new CursorError("is not a cursor of this hub");
  }
  if (!bytes.subarray(1, 9).equals(Buffer.from(topicId, "base64url").subarray(0, 8))) {
    throw new CursorError("is a cursor of another topic");
  }
  const next = bytes.readUIntBE(11, 3) * 2 ** 32 + bytes.readUInt32BE(14);
  if (!Number.isSafeInteger(next)) throw new CursorError("is not a cursor of this hub");
  return { partition: bytes.readUInt16BE(9), offset: next - 1 };
}

function checksum(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes.subarray(0, 18)).digest().subarray(0, 4);
}
