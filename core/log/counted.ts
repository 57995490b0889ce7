// A log that counts what is appended to it, for /metrics.
import type { Metrics } from "../../shared/metrics.ts";
import type { AppendStream, Log } from "./log.ts";

/** The same log; `tidings_appends_total` counts its appends by stream and by what came of them. */
export function countAppends(log: Log, metrics: Metrics): Log {
  const counts = new Map<string, { readonly stream: AppendStream; readonly result: string; total: number }>();
  for (const stream of ["messages", "events"] as const) {
    for (const result of ["durable", "refused"]) counts.set(`${stream} ${result}`, { stream, result, total: 0 });
  }
  metrics.totals(
    "tidings_appends_total",
    "Records appended, by stream and whether they became durable",
    ["stream", "result"],
    () => [...counts.values()].map(({ stream, result, total }) => [{ stream, result }, total] as const),
  );
  const count = (stream: AppendStream, result: string) => counts.get(`${stream} ${result}`)!.total++;
  return {
    ...log,
    async append(stream, record, partition) {
      try {
        const at = await log.append(stream, record, partition);
        count(stream, "durable");
        return at;
      } catch (error) {
        count(stream, "refused");
        throw error;
      }
    },
  };
}
