// Many that wait for one signal. A signal looks through all its listeners each time one comes or goes: 20,000 that come and go one by one
// take seconds. So it has one listener here, however many wait, and none when nobody waits: Node keeps a signal of `AbortSignal.any` in
// memory as long as it has a listener.

interface Waiting {
  readonly acts: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `act` when the signal aborts, unless the result was called before. A signal that has aborted calls nothing. */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  const { acts, listener } = waiting.get(signal) ?? listenTo(signal);
  // Two that wait with the same function are two.
  const own = () => act();
  acts.add(own);
  return () => {
    if (!acts.delete(own) || acts.size > 0) return;
    signal.removeEventListener("abort", listener);
    waiting.delete(signal);
  };
}

function listenTo(signal: AbortSignal): Waiting {
  const acts = new Set<() => void>();
  const listener = () => {
    for (const act of acts) act();
  };
  const started = { acts, listener };
  waiting.set(signal, started);
  signal.addEventListener("abort", listener, { once: true });
  return started;
}
