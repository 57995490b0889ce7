// Many that wait for one signal. A signal looks through all its listeners each time one comes or goes: 20,000 that come and go one by one
// take seconds. So it has one listener here, whoever waits.

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `act` when the signal aborts, unless the result was called before. A signal that has aborted calls nothing. */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  const acts = actsOf(signal);
  // Two that wait with the same function are two.
  const own = () => act();
  acts.add(own);
  return () => void acts.delete(own);
}

function actsOf(signal: AbortSignal): Set<() => void> {
  const known = waiting.get(signal);
  if (known !== undefined) return known;
  const acts = new Set<() => void>();
  waiting.set(signal, acts);
  signal.addEventListener("abort", () => {
    for (const act of acts) act();
  }, { once: true });
  return acts;
}
