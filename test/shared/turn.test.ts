import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nextTurn, oneEachTurn } from "../../shared/turn.ts";

describe("turns of the event loop", () => {
  it("one caller goes on in each, in the order of asking, also after a rest", async () => {
    const take = oneEachTurn();
    let turn = 0;
    const immediate = () => void setImmediate(() => turn++ < 100 && immediate());
    immediate();
    for (const names of [["a", "b", "c", "d"], ["e", "f", "g"]]) {
      const taken: [string, number][] = [];
      await Promise.all(names.map(async (name) => {
        await take();
        taken.push([name, turn]);
      }));
      assert.deepEqual(taken.map(([name]) => name), names);
      const turns = taken.map(([, at]) => at);
      assert.equal(new Set(turns).size, names.length, `turns ${turns.join(", ")}`);
      await nextTurn();
    }
  });
});
