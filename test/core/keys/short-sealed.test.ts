import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { lengthen, shorten } from "../../../core/keys/short-sealed.ts";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { sealedFor } from "../../support/keys.ts";

const [TOPIC, CALLBACK] = ["http://topic.example/", "http://callback.example/"];
const ID = subscriptionIdOf(TOPIC, CALLBACK);

describe("a sealed secret, shortened", () => {
  it("is half as long, and comes back byte for byte", async () => {
    const sealed = await sealedFor(TOPIC, CALLBACK, "a secret of thirty-two characters");
    const short = shorten(sealed, ID)!;
    assert.ok(short.length < sealed.length * 0.55, `${short.length} of ${sealed.length}`);
    assert.equal(lengthen(short, ID), sealed);
  });

  it("is none where its header says anything else", async () => {
    const sealed = await sealedFor(TOPIC, CALLBACK, "secret");
    const [header] = sealed.split("..") as [string];
    const rest = sealed.slice(header.length);
    const said = JSON.parse(Buffer.from(header, "base64url").toString()) as Record<string, unknown>;
    const written = (header: object) => Buffer.from(JSON.stringify(header)).toString("base64url") + rest;
    const { alg, ...others } = said;
    for (
      const other of [
        written({ ...said, sub: "another" }),
        written({ ...said, zip: "DEF" }),
        written({ ...others, alg }),
        written({ ...said, kid: 'a"b' }),
        written({ ...said, kid: "a.b" }),
        // The same bytes, spelled otherwise.
        `${header}=${rest}`,
        "not sealed",
        "",
      ]
    ) assert.equal(shorten(other, ID), undefined, other);
  });

  it("is made of nothing else", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const short = shorten(text, ID);
      if (short !== undefined) assert.equal(lengthen(short, ID), text);
    }));
  });
});
