// Binds the globals for time and waiting to a machine while it runs. Calls outside of any simulated process (the test runner's)
// get the real ones.
import { currentProcess, type Machine, type Task } from "./machine.ts";

/** The part of a NodeJS.Timeout that the product uses. */
class SimTimer {
  task: Task | undefined;
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
}

type Callback = (...parameters: unknown[]) => void;

/** Replaces the globals; the returned function puts them back. `busy` yields how long reading the monotonic clock takes, ms. */
export function useVirtualTime(machine: Machine, busy: () => number): () => void {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    setImmediate: globalThis.setImmediate,
    clearImmediate: globalThis.clearImmediate,
  };
  const realNow = Date.now;
  // Bun has it on the object itself, the others on its prototype.
  const ownMonotonic = Object.getOwnPropertyDescriptor(performance, "now");
  const realMonotonic = performance.now.bind(performance);

  function timer(ms: number | undefined, what: string, run: () => void): SimTimer {
    const made = new SimTimer();
    // Node waits at least a millisecond.
    made.task = machine.after(Math.max(1, Math.trunc(ms ?? 1) || 1), currentProcess(), what, run);
    return made;
  }
  function clear(made: unknown): void {
    if (made instanceof SimTimer && made.task !== undefined) made.task.cancelled = true;
  }

  Object.assign(globalThis, {
    setTimeout(callback: Callback, ms?: number, ...parameters: unknown[]) {
      if (currentProcess() === undefined) return real.setTimeout(callback, ms, ...parameters);
      return timer(ms, "timer", () => callback(...parameters));
    },
    setInterval(callback: Callback, ms?: number, ...parameters: unknown[]) {
      if (currentProcess() === undefined) return real.setInterval(callback, ms, ...parameters);
      const repeat = () => {
        // The next tick is due before the callback runs, so that the callback can clear it.
        made.task = timer(ms, "timer", repeat).task;
        callback(...parameters);
      };
      const made = timer(ms, "timer", repeat);
      return made;
    },
    setImmediate(callback: Callback, ...parameters: unknown[]) {
      if (currentProcess() === undefined) return real.setImmediate(callback, ...parameters);
      const made = new SimTimer();
      made.task = machine.after(0, currentProcess(), "immediate", () => callback(...parameters));
      return made;
    },
    clearTimeout(made: NodeJS.Timeout | undefined) {
      if (made instanceof SimTimer) clear(made);
      else real.clearTimeout(made);
    },
    clearInterval(made: NodeJS.Timeout | undefined) {
      if (made instanceof SimTimer) clear(made);
      else real.clearInterval(made);
    },
    clearImmediate(made: NodeJS.Immediate | undefined) {
      if (made instanceof SimTimer) clear(made);
      else real.clearImmediate(made);
    },
  });
  const subtle = watchCiphers(machine);
  Date.now = () => currentProcess() === undefined ? realNow() : Math.floor(machine.now);
  performance.now = () => {
    if (currentProcess() === undefined) return realMonotonic();
    machine.now += busy();
    return machine.now;
  };
  return () => {
    subtle();
    Object.assign(globalThis, real);
    Date.now = realNow;
    if (ownMonotonic === undefined) Reflect.deleteProperty(performance, "now");
    else Object.defineProperty(performance, "now", ownMonotonic);
  };
}

type Cipher = (...parameters: unknown[]) => Promise<unknown>;

/** WebCrypto works in threads. Here its calls are counted, and answered in their order. */
function watchCiphers(machine: Machine): () => void {
  const prototype = Object.getPrototypeOf(crypto.subtle) as Record<string, Cipher>;
  const before = new Map<string, Cipher>();
  let last: Promise<unknown> = Promise.resolve();
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === "constructor" || typeof value !== "function") continue;
    const method = value as Cipher;
    before.set(name, method);
    prototype[name] = function (this: unknown, ...parameters: unknown[]): Promise<unknown> {
      machine.outside++;
      const turn = last;
      const answer = method.apply(this, parameters);
      const inTurn = Promise.allSettled([turn, answer]).then(() => answer).finally(() => machine.outside--);
      last = inTurn.catch(() => {});
      return inTurn;
    };
  }
  return () => Object.assign(prototype, Object.fromEntries(before));
}
