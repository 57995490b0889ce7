// The event loop's turns: a long loop stops after TURN_MS, so that attempts, answers and heartbeats go on in between.

/** How long a loop may run before it lets others run, ms. */
export const TURN_MS = 20;

/** Resolves when everything else that is due in the event loop has had its turn. */
export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
