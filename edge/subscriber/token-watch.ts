// Ends a stream of events when what it was opened by no longer counts (WIRE §6): at its end, or when its issuer says that it was revoked. A
// token that was introspected is asked about again and again, by all streams with the same token together.

import type { Asker } from "../auth/access.ts";
import { HubError } from "../answers/hub-error.ts";

export interface TokenWatchOptions {
  readonly expiresAt: Asker["expiresAt"];
  readonly introspected: Asker["introspected"];
  /** Ends the stream. */
  readonly end: () => void;
  /** ms since 1970. */
  readonly clock: () => number;
  /** Default `TIMES`. */
  readonly times?: TokenWatchTimes | undefined;
}

export interface TokenWatchTimes {
  /** An answer of the issuer counts for at most this long, ms; for three quarters of it at least, so that streams do not ask all at once. */
  readonly everyMs: number;
  /** While the issuer cannot say, it is asked again after at most this long, ms. */
  readonly retryMs: number;
  /** A stream ends if its issuer has not said for so long that the token is active, ms. */
  readonly unsureMs: number;
}

/** With what a question takes, a revocation is known within a minute. */
const TIMES: TokenWatchTimes = { everyMs: 45_000, retryMs: 15_000, unsureMs: 300_000 };
/** A longer timer would fire at once, ms: 24 days, after which a reader of events comes back by itself. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Watches until the returned function is called, or the stream was ended. */
export function watchToken({ expiresAt, introspected, end, clock, times = TIMES }: TokenWatchOptions): () => void {
  const { everyMs, retryMs, unsureMs } = times;
  let over = false;
  let expiry: ReturnType<typeof setTimeout> | undefined;
  let question: ReturnType<typeof setTimeout> | undefined;

  function stop(): void {
    over = true;
    clearTimeout(expiry);
    clearTimeout(question);
  }
  function finish(): void {
    if (over) return;
    stop();
    end();
  }
  function expireAt(time: number): void {
    clearTimeout(expiry);
    // A timer cannot wait for Infinity.
    if (time !== Infinity) {
      expiry = setTimeout(finish, Math.ceil(Math.min(LONGEST_TIMER_MS, Math.max(0, time - clock()))));
    }
  }
  function askIn(ms: number, of: Introspected): void {
    question = setTimeout(() => void askAgain(of), Math.max(0, ms));
  }
  async function askAgain(of: Introspected): Promise<void> {
    try {
      // Another stream, or a request, with the same token may have asked a moment ago.
      const { expiresAt: until, introspected: answer = of } = await of.again(clock() - everyMs / 4);
      if (over) return;
      expireAt(until);
      askIn(answer.askedAt + spread(everyMs) - clock(), answer);
    } catch (error) {
      if (over) return;
      const isUnsure = error instanceof HubError && error.code === "unavailable";
      if (!isUnsure || clock() - of.askedAt >= unsureMs) return finish();
      askIn(spread(retryMs), of);
    }
  }

  expireAt(expiresAt);
  if (introspected !== undefined) askIn(introspected.askedAt + spread(everyMs) - clock(), introspected);
  return stop;
}

type Introspected = NonNullable<Asker["introspected"]>;

/** Between three quarters of it and all of it. */
function spread(ms: number): number {
  return ms * (0.75 + 0.25 * Math.random());
}
