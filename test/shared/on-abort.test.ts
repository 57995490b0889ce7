import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { onAbort } from "../../shared/on-abort.ts";

/** A signal that counts its listeners. */
function counted() {
  const controller = new AbortController();
  const { signal } = controller;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  const listeners = new Set<unknown>();
  signal.addEventListener = (type: string, listener: unknown, options?: unknown) => {
    listeners.add(listener);
    add(type, listener as EventListener, options as AddEventListenerOptions);
  };
  signal.removeEventListener = (type: string, listener: unknown) => {
    listeners.delete(listener);
    remove(type, listener as EventListener);
  };
  return { controller, signal, listeners };
}

describe("those who wait for a signal", () => {
  it("hear of it, but for those who no longer wait", () => {
    const { controller, signal } = counted();
    const heard: string[] = [];
    const say = () => void heard.push("twice");
    const forgets = [say, say, () => void heard.push("forgotten")].map((act) => onAbort(signal, act));
    forgets[2]!();
    controller.abort();
    assert.deepEqual(heard, ["twice", "twice"]);
  });

  it("share one listener, and leave none behind: a signal with one stays in memory", () => {
    const { controller, signal, listeners } = counted();
    let heard = 0;
    for (let round = 0; round < 3; round++) {
      const forgets = Array.from({ length: 5 }, () => onAbort(signal, () => heard++));
      assert.equal(listeners.size, 1);
      for (const forget of forgets) {
        forget();
        forget();
      }
      assert.equal(listeners.size, 0);
    }
    onAbort(signal, () => heard++);
    controller.abort();
    assert.equal(heard, 1);
  });
});
