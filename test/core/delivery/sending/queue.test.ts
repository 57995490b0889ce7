import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Queue } from "../../../../core/delivery/sending/queue.ts";

describe("a queue", () => {
  it("gives back what it was given, in order, as an array does", () => {
    const steps = fc.array(fc.oneof(fc.record({ push: fc.nat(200) }), fc.record({ take: fc.nat(150) })));
    fc.assert(fc.property(steps, (all) => {
      const queue = new Queue<number>();
      const plain: number[] = [];
      let next = 0;
      for (const step of all) {
        if ("push" in step) {
          for (let n = 0; n < step.push; n++, next++) {
            queue.push(next);
            plain.push(next);
          }
        } else for (let n = 0; n < step.take; n++) assert.equal(queue.shift(), plain.shift());
        assert.equal(queue.size, plain.length);
      }
    }));
  });
});
