import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPacedBody } from "../../shared/paced-body.ts";
import type { PacedBodyOptions } from "../../shared/paced-body.ts";

const LONG = 60_000;
const part = (n: number) => new Uint8Array([n]);
const immediate = () => new Promise((resolve) => setTimeout(resolve, 0));

/** A source that counts, and tells what became of it. */
function counting(options: Partial<PacedBodyOptions> = {}, most = Infinity) {
  const seen = { made: 0, aborted: false, returned: false, ends: 0 };
  const body = createPacedBody((signal) => {
    signal.addEventListener("abort", () => seen.aborted = true);
    return (async function* () {
      try {
        while (seen.made < most) yield part(++seen.made);
      } finally {
        seen.returned = true;
      }
    })();
  }, { stallMs: LONG, cutShort: "ends", onEnd: () => void seen.ends++, ...options });
  return { seen, reader: body.getReader() };
}

describe("a paced body", () => {
  it("makes a part only when it is asked for", async () => {
    const { seen, reader } = counting();
    await immediate();
    assert.equal(seen.made, 0);
    assert.deepEqual((await reader.read()).value, part(1));
    await immediate();
    assert.equal(seen.made, 1);
    await reader.cancel();
  });

  it("ends with its source, once", async () => {
    const { seen, reader } = counting({}, 2);
    const parts = [await reader.read(), await reader.read(), await reader.read()];
    assert.deepEqual(parts.map(({ done }) => done), [false, false, true]);
    assert.deepEqual(seen, { made: 2, aborted: true, returned: true, ends: 1 });
  });

  it("ends its source when the reader leaves, also while the source is silent", async () => {
    const { seen, reader } = counting();
    await reader.read();
    await reader.cancel();
    await immediate();
    assert.deepEqual(seen, { made: 1, aborted: true, returned: true, ends: 1 });
    let heard = false;
    const silent = createPacedBody((signal) => ({
      next: () =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            heard = true;
            resolve({ done: true, value: undefined });
          });
        }),
    }), { stallMs: LONG, cutShort: "ends" }).getReader();
    const reading = silent.read();
    await immediate();
    await silent.cancel();
    assert.deepEqual([(await reading).done, heard], [true, true]);
  });

  it("gives up a reader that asks for nothing more, and one that never asked", async () => {
    for (const first of [true, false]) {
      const { seen, reader } = counting({ stallMs: 20 });
      if (first) await reader.read();
      const closed = reader.closed;
      await closed;
      assert.deepEqual([seen.aborted, seen.ends, (await reader.read()).done], [true, 1, true]);
    }
  });

  it("does not give up a reader that waits for a slow source", async () => {
    const reader = createPacedBody(async function* () {
      await new Promise((resolve) => setTimeout(resolve, 60));
      yield part(1);
    }, { stallMs: 20, cutShort: "breaks" }).getReader();
    assert.deepEqual((await reader.read()).value, part(1));
    await reader.cancel();
  });

  it("gives up a source that is silent while it is asked", async () => {
    const reader = createPacedBody(() => ({ next: () => new Promise(() => {}) }), {
      stallMs: LONG,
      silenceMs: 20,
      cutShort: "breaks",
    }).getReader();
    await assert.rejects(reader.read(), /its source is silent/);
  });

  it("that breaks says so to its reader, and one that ends does not", async () => {
    for (const cutShort of ["breaks", "ends"] as const) {
      const stop = new AbortController();
      const { seen, reader } = counting({ cutShort, signal: stop.signal });
      await reader.read();
      stop.abort();
      if (cutShort === "breaks") await assert.rejects(reader.read());
      else assert.equal((await reader.read()).done, true);
      assert.deepEqual([seen.ends, seen.aborted], [1, true]);
      const failing = createPacedBody(() => ({ next: () => Promise.reject(new Error("the log is away")) }), {
        stallMs: LONG,
        cutShort,
      }).getReader();
      if (cutShort === "breaks") await assert.rejects(failing.read(), /the log is away/);
      else assert.equal((await failing.read()).done, true);
    }
  });

  it("that breaks where it can break off the connection does so, and is no error", async () => {
    let broken = 0;
    const { reader } = counting({ cutShort: "breaks", breakOff: () => void broken++, stallMs: 20 });
    await reader.read();
    await reader.closed;
    assert.deepEqual([broken, (await reader.read()).done], [1, true]);
    const whole = counting({ cutShort: "breaks", breakOff: () => void broken++ }, 0);
    assert.deepEqual([(await whole.reader.read()).done, broken], [true, 1]);
  });

  it("is over at once where it was stopped before it began", async () => {
    const { seen, reader } = counting({ signal: AbortSignal.abort() });
    assert.equal((await reader.read()).done, true);
    assert.deepEqual([seen.made, seen.ends], [0, 1]);
  });
});
