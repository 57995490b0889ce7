// Whether the core runs and whether it is ready, as edges and load balancers ask it (WIRE §8). Anyone can ask, so an answer costs next
// to nothing: the log is asked once a second at most.
import { createKept } from "../../shared/kept.ts";

export interface Probes {
  /** Whether the process runs. */
  readonly healthz: () => Response;
  /** Whether the log can be reached. */
  readonly readyz: () => Promise<Response>;
}

export interface ProbesOptions {
  /** Rejects if the log cannot be reached. */
  readonly ping: () => Promise<void>;
  /** Monotonic ms. */
  readonly now: () => number;
}

const RETRY_AFTER_SECONDS = "2";

export function createProbes({ ping, now }: ProbesOptions): Probes {
  const isReady = createKept(() => ping().then(() => true, () => false), { now });
  return {
    healthz: () => plain(200, "The core is up."),
    readyz: async () =>
      await isReady()
        ? plain(200, "The core is ready.")
        : plain(503, "The core cannot reach its log.", { "retry-after": RETRY_AFTER_SECONDS }),
  };
}

/** One sentence for people. */
function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
