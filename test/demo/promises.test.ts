import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { account, table } from "./promises.ts";
import type { Arrival, Published } from "./promises.ts";

const published: Published[] = ["a", "b", "c", "d"].map((id) => ({ id, sha256: `sha of ${id}` }));
const KILLED_AT = 100;

function came(id: string, at = 0, more: Partial<Arrival> = {}): Arrival {
  return { id, sha256: `sha of ${id}`, at, signature: "good", ...more };
}

const brokenBy = (arrivals: Arrival[], signed = true) =>
  account(published, arrivals, { signed, killedAt: KILLED_AT }).broken;

describe("the demo's account of a subscriber", () => {
  it("breaks nothing when everything came once, in order, signed", () => {
    const arrivals = ["a", "b", "c", "d"].map((id) => came(id));
    assert.deepEqual(account(published, arrivals, { signed: true, killedAt: KILLED_AT }), {
      received: 4,
      missing: 0,
      repeated: 0,
      outOfOrder: 0,
      equalBodies: 4,
      goodSignatures: 4,
      broken: [],
    });
  });

  it("allows repeats after the kill, and no others", () => {
    const all = ["a", "b", "c", "d"].map((id) => came(id));
    assert.deepEqual(brokenBy([...all, came("b", 101)]), []);
    assert.deepEqual(brokenBy([...all, came("b", 99)]), ["b came again before anything had failed"]);
    assert.deepEqual(brokenBy([...all, came("b", 101, { sha256: "other" })]), ["b came again with another body"]);
  });

  it("counts what is missing, out of order, altered or not signed", () => {
    assert.deepEqual(brokenBy([came("a"), came("b"), came("d")]), ["1 messages that were answered 2xx are missing"]);
    assert.deepEqual(brokenBy([came("a"), came("c"), came("b"), came("d")]), ["1 messages came out of order"]);
    const altered = [came("a"), came("b", 0, { sha256: "other" }), came("c"), came("d")];
    assert.deepEqual(brokenBy(altered), ["1 bodies are not what was published"]);
    const unsigned = [came("a"), came("b"), came("c", 0, { signature: "bad" }), came("d")];
    assert.deepEqual(brokenBy(unsigned), ["1 deliveries have no good signature"]);
  });

  it("wants no signature where there is no secret", () => {
    const arrivals = ["a", "b", "c", "d"].map((id) => came(id, 0, { signature: "none" }));
    assert.deepEqual(brokenBy(arrivals, false), []);
    assert.equal(brokenBy([...arrivals.slice(0, 3), came("d")], false).length, 1);
  });

  it("lets a message come whose publish was never answered 2xx", () => {
    assert.deepEqual(brokenBy([came("a"), came("unanswered"), came("b"), came("c"), came("d")]), []);
  });
});

describe("the demo's table", () => {
  it("aligns names to the left and numbers to the right", () => {
    assert.deepEqual(table([["who", "n"], ["somebody", 5], ["x", 1000]]), [
      "who          n",
      "somebody     5",
      "x         1000",
    ]);
  });
});
