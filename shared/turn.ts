// The event loop's turns: a long loop stops after TURN_MS, so that attempts, answers and heartbeats go on in between.

/** How long a loop may run before it lets others run, ms. */
export const TURN_MS = 5;

/** Resolves when everything else that is due in the event loop has had its turn. */
export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * For a loop whose steps await only what is there already, as a file's rows: such a loop holds the event loop however often it awaits.
 * Each call of the result lets others run if TURN_MS have passed since they last did.
 */
export function createTurns(): () => Promise<void> {
  let begun = performance.now();
  return async () => {
    if (performance.now() - begun < TURN_MS) return;
    await nextTurn();
    begun = performance.now();
  };
}

/**
 * One caller in each turn of the event loop: for work that is short, but adds up where many bring it at once. At once on workerd, whose
 * requests may not wait for each other.
 */
export function oneEachTurn(): () => Promise<void> {
  let last = Promise.resolve();
  if (!("setImmediate" in globalThis)) return () => last;
  return () => last = last.then(nextTurn);
}
