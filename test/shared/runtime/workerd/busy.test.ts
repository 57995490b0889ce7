import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createIsolateBusy } from "../../../../shared/runtime/workerd/busy.ts";
import { pause } from "../../../support/eventually.ts";

/** Keeps the event loop for so long, ms. */
function hog(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe("the lateness of an isolate", () => {
  it("counts while a request is in flight, in the very turn that is late, and later", async () => {
    const busy = createIsolateBusy(() => performance.now());
    await busy.during((async () => {
      await pause(10);
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

  it("is watched by every request, so that it counts when the first has ended", async () => {
    const busy = createIsolateBusy(() => performance.now());
    const { promise, resolve } = Promise.withResolvers<void>();
    const first = busy.during(Promise.resolve());
    const second = busy.during(promise);
    await first;
    const before = busy.ms();
    hog(300);
    assert.ok(busy.ms() - before > 200, `${busy.ms() - before} ms`);
    await pause(200);
    assert.ok(busy.ms() - before < 450, `what was on time does not count: ${busy.ms() - before} ms`);
    resolve();
    await second;
  });
});
