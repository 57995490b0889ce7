// The checksum of a batch, against published values.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32c } from "../../../../../core/log/kafka/protocol/crc32c.ts";

describe("the checksum of a batch", () => {
  // RFC 3720 §B.4.
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  for (
    const [title, bytes, sum] of [
      ["32 zeroes", new Uint8Array(32), 0x8a9136aa],
      ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
      ["0 to 31", ascending, 0x46dd794e],
      ["31 to 0", ascending.toReversed(), 0x113fdb5c],
      ["nothing", new Uint8Array(0), 0],
    ] as const
  ) {
    it(`is CRC-32C: ${title}`, () => assert.equal(crc32c(bytes), sum));
  }
});
