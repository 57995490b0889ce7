// A bare loop of undici's dispatch: as many requests in flight as connections, no more work per request than it takes.
// The publisher and the ceiling are both made of it.
import { type Dispatcher, Pool } from "undici";

export interface Load {
  readonly origin: string;
  readonly connections: number;
  /** Requests in all. */
  readonly count: number;
  /** Requests a second; without it as fast as answers come. */
  readonly rate?: number;
  /** What the n-th request is. */
  readonly request: (n: number) => Pick<Dispatcher.DispatchOptions, "path" | "headers" | "body">;
}

export interface LoadResult {
  readonly answered2xx: number;
  readonly failed: number;
  /** Of the failed: answered 503 with Retry-After. */
  readonly refused: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** Milliseconds from request to a 2xx, sorted; and to a 503. */
  readonly latencies: readonly number[];
  readonly refusals: readonly number[];
}

/** POSTs everything and waits for every answer; failures are counted, never repeated. */
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
    // By the clock, not by the timer: a late tick sends what is due, so that a stall shows in the figures.
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
