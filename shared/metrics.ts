// The metrics port. The adapter is shared/runtime/metrics.ts (prom-client); names are `tidings_*`, base units, WIRE §8.

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  /** Adds `by` (default 1). */
  inc(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  /** Seconds, bytes or a count, as the name says. */
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  /** A counter whose totals are kept elsewhere and read at each scrape: it must cost the hot path nothing. */
  totals(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<readonly [labels: Labels, total: number]>,
  ): void;
  /** `collect` is called at each scrape, to set values that cost less to ask for than to keep; the scrape waits for it. */
  gauge(
    name: string,
    help: string,
    labelNames?: readonly string[],
    collect?: (gauge: Gauge) => void | Promise<void>,
  ): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): Histogram;
  /** The text exposition format, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}
