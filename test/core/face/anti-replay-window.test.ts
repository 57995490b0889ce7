import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AntiReplayWindow } from "../../../core/face/anti-replay-window.ts";

const SIZE = 65_536;

describe("the numbers of a session's requests", () => {
  it("can each be used once, in any order, unless they are too old to be remembered", () => {
    const jump = fc.oneof(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: SIZE - 3, max: SIZE + 3 }),
      fc.integer({ min: 1, max: 4 * SIZE }),
      fc.integer({ min: 1, max: 2 ** 49 }),
    );
    fc.assert(
      fc.property(fc.array(jump, { minLength: 1, maxLength: 60 }), (numbers) => {
        const window = new AntiReplayWindow();
        const used = new Set<number>();
        let newest = 0;
        for (const number of [...numbers, ...numbers.map((n) => n + 32), ...numbers.map((n) => n + SIZE)]) {
          const fresh = !used.has(number) && number > newest - SIZE;
          assert.equal(window.isFresh(number), fresh, String(number));
          if (!fresh) continue;
          window.use(number);
          used.add(number);
          newest = Math.max(newest, number);
          assert.ok(!window.isFresh(number));
        }
      }),
      { numRuns: 50 },
    );
  });
});
