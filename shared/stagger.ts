// Attempts started one after another, of which the first that succeeds wins. No attempt is given up because the next begins
// (RFC 8305 §5): what is far away may still be the only one that answers.

/** Resolves to what it made. When the signal aborts, it ends its work; how it settles then does not matter. */
export type Attempt<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Starts the next attempt `gapMs` after the one before, or as soon as one fails. Resolves to the first success, and gives up the
 * others. When all have failed or `signal` aborts, it rejects with the errors so far.
 */
export function firstToSucceed<T>(attempts: readonly Attempt<T>[], gapMs: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUps: AbortController[] = [];
    const errors: Error[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;

    const end = (winner?: AbortController) => {
      over = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      for (const giveUp of giveUps) if (giveUp !== winner) giveUp.abort();
    };
    const fail = () => {
      end();
      reject(new AttemptsError(errors));
    };
    const onAbort = () => fail();
    const next = () => {
      clearTimeout(timer);
      const attempt = attempts[giveUps.length];
      if (over || attempt === undefined) return;
      const giveUp = new AbortController();
      giveUps.push(giveUp);
      if (giveUps.length < attempts.length) timer = setTimeout(next, gapMs);
      attempt(giveUp.signal).then(
        (made) => {
          if (over) return;
          end(giveUp);
          resolve(made);
        },
        (error: Error) => {
          if (over) return;
          errors.push(error);
          if (errors.length === attempts.length) fail();
          else next();
        },
      );
    };
    if (signal.aborted) return fail();
    signal.addEventListener("abort", onAbort);
    if (attempts.length === 0) fail();
    else next();
  });
}

/** No attempt succeeded. */
export class AttemptsError extends Error {
  readonly errors: readonly Error[];
  constructor(errors: readonly Error[]) {
    super([...new Set(errors.map(({ message }) => message))].join("; "));
    this.name = "AttemptsError";
    this.errors = errors;
  }
}
