import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createIsolateBusy } from "../../../../shared/runtime/workerd/busy.ts";

/** Keeps the event loop for so long, ms. */
function hog(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe("the lateness of an isolate", () => {
  it("counts while a request is in flight, in the very turn that is late, and later", async () => {
    const busy = createIsolateBusy(() => performance.now());
    await busy.during((async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      hog(300);
      assert.ok(busy.ms() > 200, `${busy.ms()} ms`);
    })());
    assert.ok(busy.ms() > 200 && busy.ms() < 1_000, `${busy.ms()} ms`);
  });

  it("does not count while nothing is in flight", async () => {
    const busy = createIsolateBusy(() => performance.now());
    await busy.during(Promise.resolve());
    const before = busy.ms();
    hog(200);
    assert.equal(busy.ms(), before);
  });

  it("is watched on by the next request when the one that watched was dropped", async () => {
    let time = 0;
    const busy = createIsolateBusy(() => time);
    const { promise, resolve } = Promise.withResolvers<void>();
    const dropped = busy.during(promise);
    time = 10_000;
    const next = busy.during(promise);
    const taken = busy.ms();
    time = 10_050;
    assert.equal(busy.ms(), taken, "it is on time");
    time = 10_150;
    assert.equal(busy.ms(), taken + 100);
    resolve();
    await Promise.all([dropped, next]);
  });
});
