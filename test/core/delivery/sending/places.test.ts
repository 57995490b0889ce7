import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Lane } from "../../../../core/delivery/lane/lane.ts";
import { IN_FLIGHT, MOST_IN_FLIGHT, OVERTIME, PER_HOST, Places } from "../../../../core/delivery/sending/places.ts";
import type { Place } from "../../../../shared/shares/accounts.ts";
import type { Standing } from "../../../../shared/shares/standing.ts";
import { FAILED, laneOf, messageAt } from "../../../support/rigs/lanes.ts";

/** Half of what is not kept for those who have none. */
const SHARE_OF_ONE = 7 / 16;

/** A lane of a client, to a host, as it stands after attempts that ended so. */
function laneAs(standing: Standing, host: string, userId = "one"): Lane {
  const client = { issuer: "issuer", userId };
  const lane = laneOf({ callback: `http://${host}.example/`, isNew: standing !== "proven", client });
  const flights = standing === "failing" ? 2 : standing === "slow" ? 1 : 0;
  for (let flight = 0; flight < flights; flight++) {
    lane.receive(messageAt(flight));
    const departed = lane.depart(0)!;
    if (standing === "slow") lane.delivered(departed, true);
    else {
      lane.failed(departed, FAILED, 0);
      lane.backOff();
    }
  }
  assert.equal(lane.standing, standing);
  return lane;
}

function placesOf() {
  const turns: [Lane, Place][] = [];
  const places = new Places((lane, place) => {
    turns.push([lane, place]);
    return true;
  });
  return { places, turns };
}

/** Enters lanes of a client, to one host or a host each, until one has to wait. */
function fill(places: Places, standing: Standing, { client = "one", host }: { client?: string; host?: string } = {}) {
  const taken: Place[] = [];
  for (let at = 0; at < MOST_IN_FLIGHT; at++) {
    const lane = laneAs(standing, host ?? `${client}${at}`, client);
    const place = places.enter(lane);
    if (place === undefined) {
      places.forget(lane);
      break;
    }
    taken.push(place);
  }
  return taken;
}

describe("places that are free at once", () => {
  it("are given in turns, so that hundreds of attempts do not all begin in one", () => {
    let begun = 0;
    const places = new Places(() => {
      begun++;
      for (const at = performance.now(); performance.now() - at < 5;);
      return true;
    });
    const taken: Place[] = [];
    for (let place: Place | undefined, n = 0; n < 600; n++) {
      place = places.enter(laneAs("proven", `host${n}`, "hangs"));
      if (place !== undefined) taken.push(place);
    }
    assert.ok(places.waiting > 100);
    for (const place of taken) assert.ok(places.turn(place));
    places.tick();
    assert.ok(begun >= 1 && begun <= 5, `${begun} at once`);
    const before = begun;
    // Each of many answers that come at once gives a place back.
    for (const place of taken.slice(0, 10)) places.leave(place);
    assert.ok(begun <= before + 10, `${begun - before} for 10`);
    places.tick();
    assert.ok(begun > before);
  });
});

describe("the places of attempts in flight", () => {
  it("ARCHITECTURE §4 one requester has half of them at most, whatever its lanes do, and others find theirs", () => {
    for (const standing of ["proven", "slow", "new", "failing"] as const) {
      const { places } = placesOf();
      assert.equal(fill(places, standing).length, IN_FLIGHT[standing] * SHARE_OF_ONE, standing);
      for (const other of ["a", "b", "c"]) assert.ok(places.enter(laneAs(standing, other, other)), standing);
      for (const another of ["proven", "slow", "new", "failing"] as const) {
        assert.ok(places.enter(laneAs(another, "well", "one")) !== undefined || another === standing, another);
      }
    }
  });

  it("ARCHITECTURE §4 one host has a bounded share, whoever subscribed and however many ports it has", () => {
    const { places } = placesOf();
    let taken = 0;
    for (let client = 0; client < 200; client++) {
      taken += fill(places, "new", { host: `a.one`, client: `c${client}` }).length;
    }
    assert.ok(taken <= PER_HOST.new && taken > PER_HOST.new / 2, `${taken}`);
    assert.ok(places.enter(laneAs("new", "two", "c0")));
  });

  it("ARCHITECTURE §4 requesters who were well and hang all at once leave room in each share, and for each standing", () => {
    const { places } = placesOf();
    const attackers = Array.from({ length: 8 }, (_, at) => `attacker${at}`);
    let kept: Place[] = [];
    for (let round = 0; round < 12; round++) {
      for (const client of attackers) {
        kept = [...kept, ...fill(places, "proven", { client }), ...fill(places, "new", { client })]
          .filter((place) => !places.turn(place));
      }
    }
    assert.ok(places.inFlight < MOST_IN_FLIGHT, `${places.inFlight}`);
    for (const standing of ["proven", "slow", "new", "failing"] as const) {
      const victim = places.enter(laneAs(standing, "victim", "victim"));
      assert.ok(victim, standing);
      if (standing in OVERTIME) assert.ok(places.turn(victim), `${standing} in time`);
    }
  });

  it("ARCHITECTURE §4 attempts beside the lanes take no place of lanes that are well, and give theirs back", () => {
    const { places } = placesOf();
    const taken: Place[] = [];
    for (let at = 0; at < MOST_IN_FLIGHT; at++) {
      const place = places.enterBeside(laneAs("proven", `h${at}`));
      if (place !== undefined) taken.push(place);
    }
    assert.equal(taken.length, IN_FLIGHT.slow * SHARE_OF_ONE);
    assert.equal(fill(places, "proven").length, IN_FLIGHT.proven * SHARE_OF_ONE);
    for (const place of taken) places.leave(place);
    assert.equal(places.inFlight, IN_FLIGHT.proven * SHARE_OF_ONE);
  });

  it("the turn of a lane that waits comes with the place that is free, and a lane that is over has none", () => {
    const { places, turns } = placesOf();
    const [first] = fill(places, "new");
    const [over, late] = [laneAs("new", "over"), laneAs("new", "late")];
    for (const lane of [over, late]) assert.equal(places.enter(lane), undefined);
    assert.deepEqual([places.forget(over), places.forget(over), places.waiting], [true, false, 1]);
    places.leave(first!);
    assert.deepEqual(turns.map(([lane]) => lane), [late]);
  });

  it("a host that asked a requester for a pause gives it fewer places, until it answers well or is no longer called", () => {
    const { places } = placesOf();
    const enter = () => places.enter(laneAs("proven", "busy"));
    const first = enter()!;
    for (let times = 0; times < 20; times++) places.ease(first);
    assert.equal(enter(), undefined);
    assert.ok(places.enter(laneAs("proven", "busy", "other")), "another requester does not feel it");
    places.trust(first);
    places.tick();
    assert.equal(places.waiting, 0);
    const { places: others } = placesOf();
    const place = others.enter(laneAs("proven", "busy"))!;
    for (let times = 0; times < 20; times++) others.ease(place);
    others.leave(place);
    for (let tick = 0; tick < 256; tick++) others.tick();
    assert.ok(fill(others, "proven", { host: "busy" }).length > 200);
  });

  it("leak no place and forget no lane, over random sequences", () => {
    const standings = ["proven", "slow", "new", "failing"] as const;
    const step = fc.record({
      kind: fc.constantFrom("enter", "enter", "leave", "turn", "tick", "ease", "trust", "forget"),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const inside: { lane: Lane; place: Place }[] = [];
        const ready = Array.from({ length: 400 }, (_, at) => laneAs(standings[at % 4]!, `h${at % 3}`, `c${at % 2}`));
        const waiting = new Set<Lane>();
        const places = new Places((lane, place) => {
          assert.ok(waiting.delete(lane), "a lane has its turn that did not wait");
          inside.push({ lane, place });
          return true;
        });
        const leave = (which: number) => {
          const [left] = inside.splice(which % Math.max(1, inside.length), 1);
          if (left === undefined) return;
          places.leave(left.place);
          ready.push(left.lane);
        };
        const enter = () => {
          const lane = ready.shift();
          if (lane === undefined) return;
          const place = places.enter(lane);
          if (place === undefined) waiting.add(lane);
          else inside.push({ lane, place });
        };
        for (const { kind, which } of steps) {
          const one = inside[which % Math.max(1, inside.length)];
          if (kind === "tick") places.tick();
          else if (kind === "enter") { for (let times = 0; times < 9; times++) enter(); }
          else if (kind === "leave") leave(which);
          else if (kind === "forget") {
            for (const lane of [...waiting].slice(0, which % 3)) {
              waiting.delete(lane);
              assert.ok(places.forget(lane));
              ready.push(lane);
            }
          } else if (one !== undefined) {
            if (kind === "turn") places.turn(one.place);
            else if (kind === "ease") { for (let times = 0; times < 4; times++) places.ease(one.place); }
            else places.trust(one.place);
          }
          assert.equal(places.inFlight, inside.length);
          assert.equal(places.waiting, waiting.size);
        }
        for (let left = inside.length + waiting.size; left > 0; left--) leave(0);
        assert.deepEqual([places.inFlight, places.waiting], [0, 0]);
      }),
      { numRuns: 50 },
    );
  });
});
