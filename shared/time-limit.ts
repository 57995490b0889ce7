// A signal that aborts in time, and is let go of when its work has ended. `AbortSignal.timeout` keeps its timer until it fires.

export interface TimeLimit {
  readonly signal: AbortSignal;
  /** The work has ended: nothing is left behind. */
  end(): void;
}

/** Aborts after `ms`, or as soon as `outer` does. */
export function timeLimit(ms: number, outer?: AbortSignal): TimeLimit {
  const over = new AbortController();
  const abort = () => over.abort();
  const timer = setTimeout(abort, ms);
  if (outer?.aborted === true) abort();
  outer?.addEventListener("abort", abort);
  return {
    signal: over.signal,
    end: () => {
      clearTimeout(timer);
      outer?.removeEventListener("abort", abort);
    },
  };
}
