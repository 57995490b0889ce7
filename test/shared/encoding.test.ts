import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { base64Of, base64UrlOf, bytesOfBase64, bytesOfBase64Url, hexOf } from "../../shared/encoding.ts";

describe("bytes as text (RFC 4648)", () => {
  it("are written as Node writes them, and read back", () => {
    for (let length = 0; length < 70; length++) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 151 + length) % 256);
      const buffer = Buffer.from(bytes);
      assert.equal(hexOf(bytes), buffer.toString("hex"));
      assert.equal(base64Of(bytes), buffer.toString("base64"));
      assert.equal(base64UrlOf(bytes), buffer.toString("base64url"));
      assert.deepEqual(bytesOfBase64(base64Of(bytes)), bytes);
      assert.deepEqual(bytesOfBase64Url(base64UrlOf(bytes)), bytes);
    }
  });

  it("are null where the text is not base64", () => {
    for (const text of ["A", "AAAAA", "AA=", "====", "%%%", "ÿ"]) assert.equal(bytesOfBase64(text), null, text);
    assert.deepEqual(bytesOfBase64("MTI"), bytesOfBase64("MTI="));
  });
});
