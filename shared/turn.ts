/** Resolves when everything else that is due in the event loop has had its turn: attempts, answers, heartbeats. */
export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
