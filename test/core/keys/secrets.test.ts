import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CompactEncrypt, importJWK } from "jose";
import fc from "fast-check";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { createSecrets, SecretError } from "../../../core/keys/secrets.ts";
import { makeCoreKey, publicHalf } from "../../../shared/jwks.ts";
import {
  createSealer,
  SEALED_SECRET,
  sealingSubject,
  subscriptionIdByWebCrypto,
} from "../../../shared/sealed-secret.ts";

const ID = subscriptionIdOf("https://example.com/feed", "https://example.com/callback");
const OTHER_ID = subscriptionIdOf("https://example.com/feed", "https://example.com/other");
const older = await makeCoreKey();
const newer = await makeCoreKey();
const sealing = await createSealer(publicHalf(older));
const seal = (secret: string, id = ID) => sealing.seal(secret, sealingSubject(id));

function codeOf(code: SecretError["code"]) {
  return (error: unknown) => error instanceof SecretError && error.code === code;
}

describe("a sealed secret (ARCHITECTURE §5)", () => {
  it("opens to the bytes that were sealed by jose, of any length that is taken", async () => {
    const secrets = await createSecrets([older]);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1, maxLength: 199 }), async (text) => {
        const secret = Buffer.from(text).subarray(0, 199).toString();
        const sealed = await seal(secret);
        assert.match(sealed, SEALED_SECRET);
        assert.equal(secrets.open(sealed, ID), secret);
      }),
      { numRuns: 50 },
    );
    assert.ok((await seal("s".repeat(199))).length < 600);
  });

  it("says nothing of what it holds, and never reads the same twice", async () => {
    const [one, other] = [await seal("a secret of mine"), await seal("a secret of mine")];
    assert.notEqual(one, other);
    assert.ok(!one.includes(Buffer.from("a secret of mine").toString("base64url").slice(0, 8)));
  });

  it("is bound to the subscription's id, which edge and core make alike", async () => {
    for (
      const [topic, callback] of [["t", "http://a/"], ["http://a/%7Eü", "http://a/%7e?q=%2F"], ["é\u{1f600}", "c"]]
    ) {
      assert.equal(await subscriptionIdByWebCrypto(topic!, callback!), subscriptionIdOf(topic!, callback!));
    }
    const secrets = await createSecrets([older]);
    const sealed = await seal("s");
    assert.throws(() => secrets.open(sealed, OTHER_ID), codeOf("other_subscription"));
    // A forged `sub` does not help: the tag is also over the header.
    const [head, ...rest] = sealed.split(".");
    const header = { ...JSON.parse(Buffer.from(head!, "base64url").toString()), sub: sealingSubject(OTHER_ID) };
    const forged = [Buffer.from(JSON.stringify(header)).toString("base64url"), ...rest].join(".");
    assert.throws(() => secrets.open(forged, OTHER_ID), codeOf("damaged"));
  });

  it("that is sealed to a key which is not here, altered, or none of ours, is an error of its own, and counted", async () => {
    const secrets = await createSecrets([newer]);
    const sealed = await seal("s");
    assert.throws(() => secrets.open(sealed, ID), codeOf("unknown_key"));
    const both = await createSecrets([newer, older]);
    for (let at = sealed.indexOf(".."); at < sealed.length; at += 7) {
      const bit = sealed[at] === "A" ? "B" : "A";
      if (sealed[at] === ".") continue;
      assert.throws(() => both.open(sealed.slice(0, at) + bit + sealed.slice(at + 1), ID), codeOf("damaged"));
    }
    for (const text of ["", "s", "....", `${sealed}.x`, sealed.replace("..", ".AAAA."), sealed.slice(1)]) {
      assert.throws(() => both.open(text, ID), (error) => error instanceof SecretError);
    }
    assert.equal(secrets.counts.unopened, 1);
    assert.equal(secrets.counts.opened, 0);
    assert.equal(both.open(sealed, ID), "s");
  });

  it("is none with another algorithm, or with a header that changes what the rest means", async () => {
    const secrets = await createSecrets([older]);
    const key = await importJWK(publicHalf(older), "ECDH-ES");
    const made = (header: object) =>
      new CompactEncrypt(Buffer.from("s"))
        .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM", kid: older.kid, sub: sealingSubject(ID), ...header })
        .encrypt(key);
    assert.equal(secrets.open(await made({}), ID), "s");
    for (const header of [{ enc: "A128GCM" }, { alg: "ECDH-ES+A256KW" }, { typ: "JWE" }]) {
      const sealed = await made(header);
      assert.throws(() => secrets.open(sealed, ID), codeOf("not_sealed"), JSON.stringify(header));
    }
  });

  it("opens with an older key, and is sealed anew to the first one", async () => {
    const secrets = await createSecrets([newer, older]);
    const sealed = await seal("s");
    assert.equal(secrets.isCurrent(sealed), false);
    const fresh = await secrets.reseal(sealed, ID);
    assert.equal(secrets.isCurrent(fresh), true);
    assert.equal((await createSecrets([newer])).open(fresh, ID), "s");
    assert.ok(secrets.isSame(sealed, fresh, ID));
    assert.ok(!secrets.isSame(sealed, await seal("t"), ID));
    assert.ok(!secrets.isSame(sealed, undefined, ID));
    assert.equal(secrets.counts.resealed, 1);
    // A secret that cannot be resealed to the first key is left alone.
    assert.equal((await createSecrets([newer])).isCurrent(sealed), true);
  });
});
