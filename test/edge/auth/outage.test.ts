import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createOutage } from "../../../edge/auth/outage.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";

function open() {
  const time = { now: 0 };
  const log = keepLines();
  const outage = createOutage({ what: "It fails", end: "It works", logger: log as never, now: () => time.now });
  return { time, outage, lines: log.lines };
}

describe("an outage is logged", () => {
  it("when it begins, each minute while it lasts, and when it ends", () => {
    const { time, outage, lines } = open();
    for (; time.now < 125_000; time.now += 1_000) outage.failed(new Error("away"));
    outage.over();
    outage.over();
    assert.deepEqual(lines, [
      "warn It fails: away",
      "warn It fails, for 60 s now: away",
      "warn It fails, for 120 s now: away",
      "info It works again, after 125 s",
    ]);
  });

  it("not more often where something fails and works by turns", () => {
    const { time, outage, lines } = open();
    for (; time.now < 120_000; time.now += 1_000) {
      outage.failed(new Error("away"));
      outage.over();
    }
    assert.equal(lines.filter((line) => line.startsWith("warn")).length, 2);
    assert.equal(lines.filter((line) => line.startsWith("info")).length, 2);
  });

  it("not at all where nothing failed", () => {
    const { outage, lines } = open();
    outage.over();
    assert.deepEqual(lines, []);
  });
});
