import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Places } from "../../shared/places.ts";

function placesOf(most: number, lostAfterMs: number) {
  const clock = { time: 0 };
  return { clock, places: new Places({ most, now: () => clock.time, lostAfterMs }) };
}

describe("places of a limit", () => {
  it("are taken until there are none, and given back once", () => {
    const { places } = placesOf(3, Infinity);
    const giveBack = places.take(2)!;
    assert.equal(places.take(2), undefined);
    assert.notEqual(places.take(), undefined);
    giveBack();
    giveBack();
    assert.notEqual(places.take(2), undefined);
    assert.equal(places.take(), undefined);
  });

  it("that a dropped request never gave back are free again after a while, and no other request's are", () => {
    const { places, clock } = placesOf(2, 1_000);
    const late = places.take()!;
    clock.time = 500;
    places.take();
    clock.time = 999;
    assert.equal(places.take(), undefined);
    clock.time = 1_000;
    assert.notEqual(places.take(), undefined, "the first one's");
    assert.equal(places.take(), undefined, "the second one's is its own yet");
    late();
    assert.equal(places.take(), undefined, "a place that was taken back is not given back again");
  });

  it("are never lost where a runtime drops nothing", () => {
    const { places, clock } = placesOf(1, Infinity);
    places.take();
    clock.time = 1e12;
    assert.equal(places.take(), undefined);
  });
});
