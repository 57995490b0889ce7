// CRC-32C (Castagnoli), the checksum of a record batch.

const POLYNOMIAL = 0x82f63b78; // with its bits reversed

/** What each value of a byte does to the sum. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ ((sum & 1) === 0 ? 0 : POLYNOMIAL);
  return sum;
});

/** Unsigned, 32 bits. */
export function crc32c(bytes: Uint8Array): number {
  let sum = -1;
  for (let at = 0; at < bytes.length; at++) sum = TABLE[(sum ^ bytes[at]!) & 0xff]! ^ (sum >>> 8);
  return ~sum >>> 0;
}
