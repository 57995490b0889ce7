import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { createSigners, type Signer } from "../../../core/keys/signers.ts";
import { SecretError } from "../../../core/keys/secrets.ts";

/** Signers over secrets that lie open, counting how often each is opened. */
function counting(most: number, random: () => number = Math.random) {
  const opened: string[] = [];
  const open = (sealed: string) => {
    opened.push(sealed);
    if (sealed === "lost") throw new SecretError("unknown_key", "no such key");
    return sealed;
  };
  return { opened, signers: createSigners({ secrets: { open }, random, most }) };
}
const signer = (sealed: string): Signer => ({ sealed, subscriptionId: sealed, signing: undefined });

describe("what lanes sign with", () => {
  it("is opened at the first attempt, never at the ones after it", () => {
    const { opened, signers } = counting(10);
    const one = signer("s");
    assert.deepEqual(opened, []);
    const { hub } = signers.of(one);
    for (let attempt = 0; attempt < 5; attempt++) assert.equal(signers.of(one).hub, hub);
    assert.deepEqual(opened, ["s"]);
    assert.equal(
      createHmac("sha256", hub).update("body").digest("hex"),
      createHmac("sha256", "s").update("body").digest("hex"),
    );
  });

  it("§6.7 is held for a bounded number of lanes, and opened again for the rest", () => {
    const { signers } = counting(8);
    const all = Array.from({ length: 100 }, (_, number) => signer(String(number)));
    for (const one of all) signers.of(one);
    assert.equal(all.filter(({ signing }) => signing !== undefined).length, 8);
  });

  it("is not opened at each attempt, either, where a few lanes more than fit take turns", () => {
    const { opened, signers } = counting(90);
    const all = Array.from({ length: 100 }, (_, number) => signer(String(number)));
    for (let round = 0; round < 20; round++) for (const one of all) signers.of(one);
    // If the oldest were closed first, each round would open all of them.
    assert.ok(opened.length < 1_500, `${opened.length} openings`);
  });

  it("is nothing where the secret cannot be opened, and is tried again", () => {
    const { opened, signers } = counting(8);
    const lost = signer("lost");
    for (let attempt = 0; attempt < 2; attempt++) assert.throws(() => signers.of(lost), SecretError);
    assert.equal(opened.length, 2);
    assert.equal(lost.signing, undefined);
  });
});
