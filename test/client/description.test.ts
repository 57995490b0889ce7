import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeDelivery, describeLease, preview, printable } from "../../client/description.ts";
import { loadFixtures } from "../support/fixtures.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("a delivery in one line", () => {
  it("names id, type, size, signatures and the beginning of the body", () => {
    const line = describeDelivery({
      headers: new Headers({ "webhook-id": "msg_1", "content-type": "application/json" }),
      body: bytes('{"hello":"world"}'),
      checked: { hub: "good", webhook: "good", good: true },
    }, new Date(2026, 10, 21, 9, 8, 7));
    assert.equal(line, '09:08:07  msg_1  application/json  17 B  both signatures good  {"hello":"world"}');
  });

  it("says aloud when it cannot be trusted", () => {
    const line = describeDelivery({
      headers: new Headers(),
      body: bytes(""),
      checked: { hub: "wrong", webhook: "missing", good: false },
    }, new Date());
    assert.match(
      line,
      /no id {2}no type {2}0 B {2}NOT TRUSTED: X-Hub-Signature wrong, webhook-signature missing {2}\(empty\)$/,
    );
  });

  it("shows text as text, cut after 60 characters, and anything else in hexadecimal", () => {
    assert.equal(preview(bytes("🌊".repeat(60))), "🌊".repeat(60));
    assert.equal(preview(bytes("🌊".repeat(61))), `${"🌊".repeat(60)}…`);
    // The cut falls into the middle of a character: it is still text.
    assert.equal(preview(bytes(`a${"é".repeat(500)}`)), `a${"é".repeat(59)}…`);
    assert.equal(preview(Uint8Array.from([0xff, 0, 1])), "ff 00 01");
    assert.equal(preview(new Uint8Array(21).fill(0xfe)), `${"fe ".repeat(20)}…`);
  });

  it("lets nothing through that a terminal would obey", async () => {
    assert.equal(printable("\u001b[2J\r\n\u009b1m\u202egnp.exe\u2028"), "·[2J···1m·gnp.exe·");
    for (const { file, body } of await loadFixtures()) {
      assert.doesNotMatch(preview(body), /[\u0000-\u001f\u007f-\u009f]/, file);
    }
  });

  it("writes a lease for people", () => {
    assert.deepEqual([864_000, 7_200, 119, 1].map(describeLease), ["10 days", "2 hours", "119 seconds", "1 seconds"]);
  });
});
