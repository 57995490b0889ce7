// A body that is made no faster than its reader takes it: nothing is buffered for a reader that stalls, and a reader that
// stalls for too long is given up (ARCHITECTURE §6.7).

export interface PacedBodyOptions {
  /** A reader that got something and asks for nothing more in this time is given up, ms. */
  readonly stallMs: number;
  /** A source that is asked and yields nothing in this time is given up, ms. Default: never. */
  readonly silenceMs?: number;
  /** How a body that is cut short ends: as if it were complete (events, whose reader comes back), or broken off. */
  readonly cutShort: "ends" | "breaks";
  /** How to break off. Without it the body is an error, which a server may log as its own. */
  readonly breakOff?: (() => void) | undefined;
  /** Cuts the body short. */
  readonly signal?: AbortSignal;
  /** Called once, however it came to its end. */
  readonly onEnd?: () => void;
}

/**
 * A body of the parts that `make` yields; its signal is aborted as soon as no more of them are wanted. A source that throws
 * cuts the body short.
 */
export function createPacedBody(
  make: (signal: AbortSignal) => AsyncIterator<Uint8Array>,
  { stallMs, silenceMs, cutShort, breakOff, signal, onEnd }: PacedBodyOptions,
): ReadableStream<Uint8Array> {
  const over = new AbortController();
  const source = make(over.signal);
  let output: ReadableStreamDefaultController<Uint8Array>;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function finish(): boolean {
    if (over.signal.aborted) return false;
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
    over.abort();
    // The body has ended: an error of the source no longer matters.
    source.return?.().catch(() => {});
    onEnd?.();
    return true;
  }
  function cut(reason: string): void {
    if (!finish()) return;
    if (cutShort === "breaks" && breakOff === undefined) return output.error(new Error(reason));
    if (cutShort === "breaks") breakOff?.();
    output.close();
  }
  const stop = () => cut("this process is stopping");
  const watchReader = () => timer = setTimeout(cut, stallMs, "its reader does not read");

  return new ReadableStream<Uint8Array>({
    start(made) {
      output = made;
      watchReader();
      if (signal?.aborted === true) stop();
      else signal?.addEventListener("abort", stop);
    },
    async pull() {
      clearTimeout(timer);
      if (silenceMs !== undefined) timer = setTimeout(cut, silenceMs, "its source is silent");
      try {
        const step = await source.next();
        if (over.signal.aborted) return;
        clearTimeout(timer);
        if (step.done === true) {
          finish();
          output.close();
        } else {
          output.enqueue(step.value);
          watchReader();
        }
      } catch (error) {
        cut(error instanceof Error ? error.message : String(error));
      }
    },
    cancel: () => void finish(),
  }, { highWaterMark: 0 });
}
