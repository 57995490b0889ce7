// A bare loop of undici's dispatch: as many requests in flight as connections, and the least work per request. The publisher
// and the ceiling use it. Unlike support/load's publishers it keeps no books: it measures.
import { type Dispatcher, Pool } from "../../shared/undici.ts";

export interface Load {
  readonly origin: string;
  readonly connections: number;
  /** How many requests in all. */
  readonly count: number;
  /** Requests a second; without it, as fast as answers come. */
  readonly rate?: number;
  /** Makes the n-th request, from 0. */
  readonly request: (n: number) => Pick<Dispatcher.DispatchOptions, "path" | "headers" | "body">;
}

export interface LoadResult {
  readonly answered2xx: number;
  readonly failed: number;
  /** Those of the failed that were answered 503 with Retry-After. */
  readonly refused: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** Ms from a request to its 2xx, and to its 503, sorted. */
  readonly latencies: readonly number[];
  readonly refusals: readonly number[];
}

/** Posts all requests and waits for every answer. It counts failures and repeats none. */
export async function runLoad({ origin, connections, count, rate, request }: Load): Promise<LoadResult> {
  const pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const latencies: number[] = [];
  const refusals: number[] = [];
  let [sent, answered2xx, failed] = [0, 0, 0];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const settle = (ok: boolean): void => {
      if (ok) answered2xx++;
      else failed++;
      if (answered2xx + failed === count) resolve();
      else if (rate === undefined && sent < count) send();
    };
    const send = (): void => {
      const at = performance.now();
      let status = 0;
      let later = false;
      pool.dispatch({ method: "POST", ...request(sent++) }, {
        onRequestStart() {},
        onResponseStart(_controller, code, headers) {
          status = code;
          later = code === 503 && headers["retry-after"] !== undefined;
        },
        onResponseData() {},
        onResponseEnd() {
          const ok = status >= 200 && status < 300;
          if (ok || later) (ok ? latencies : refusals).push(performance.now() - at);
          settle(ok);
        },
        onResponseError: () => settle(false),
      });
    };
    if (rate === undefined) {
      for (let n = Math.min(connections, count); n > 0; n--) send();
      return;
    }
    // The clock decides, not the timer: a late tick sends what is due, so a stall shows in the figures.
    const timer = setInterval(() => {
      const due = Math.min(count, Math.floor((performance.now() - startedAt) / 1000 * rate) + 1);
      while (sent < due) send();
      if (sent === count) clearInterval(timer);
    }, Math.min(10, 1000 / rate));
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await pool.close();
  for (const times of [latencies, refusals]) times.sort((a, b) => a - b);
  return { answered2xx, failed, refused: refusals.length, seconds, latencies, refusals };
}
