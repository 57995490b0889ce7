// The event loop's turns: a long loop stops after TURN_MS, so that attempts, answers and heartbeats go on in between.

/** How long a loop may run before it lets others run, ms. */
export const TURN_MS = 20;

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
