// The metrics port's adapter: prom-client, one registry a process.
import process from "node:process";
import * as prometheus from "prom-client";
import type { ProcessFigure } from "../capabilities.ts";
import type { Counter, Gauge, Histogram, Metrics } from "../metrics.ts";
import { watchBusy } from "./busy.ts";
import { capabilities } from "./process.ts";

/** prom-client's names for the figures that some runtimes lack: it would show 0 there. */
const NAMES: Readonly<Record<Exclude<ProcessFigure, "cpu" | "memory">, readonly string[]>> = {
  virtual: ["tidings_process_virtual_memory_bytes", "tidings_process_heap_bytes"],
  files: ["tidings_process_open_fds", "tidings_process_max_fds"],
  lag: ["", "_min", "_max", "_mean", "_stddev", "_p50", "_p90", "_p99"]
    .map((part) => `tidings_nodejs_eventloop_lag${part}_seconds`),
  gc: ["tidings_nodejs_gc_duration_seconds"],
};

/** The figures of the process itself, as far as this runtime has them. */
function collectProcess(registry: prometheus.Registry): void {
  prometheus.collectDefaultMetrics({ register: registry, prefix: "tidings_" });
  const { processMetrics } = capabilities();
  for (const [figure, names] of Object.entries(NAMES)) {
    if (!processMetrics.some((one) => one === figure)) names.forEach((name) => registry.removeSingleMetric(name));
  }
  // prom-client reads the resident memory where it reads the virtual one.
  if (!processMetrics.includes("virtual")) addResidentMemory(registry);
  // Deno's histogram of the event loop's lag misses long turns, so lateness is measured in one way on all.
  const busy = watchBusy(() => performance.now());
  new prometheus.Counter({
    name: "tidings_process_late_seconds_total",
    help: "How long the event loop was late in all.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(busy.ms() / 1000);
    },
  });
}

function addResidentMemory(registry: prometheus.Registry): void {
  const name = "tidings_process_resident_memory_bytes";
  registry.removeSingleMetric(name);
  new prometheus.Gauge({
    name,
    help: "Resident memory size in bytes.",
    registers: [registry],
    collect() {
      this.set(process.memoryUsage().rss);
    },
  });
}

/**
 * Makes the registry of one tier, with the process's own figures (`tidings_process_*`, `tidings_nodejs_eventloop_lag_*`);
 * every series is labelled with the tier.
 */
export function createMetrics({ tier }: { readonly tier: string }): Metrics {
  const registry = new prometheus.Registry();
  registry.setDefaultLabels({ tier });
  collectProcess(registry);
  const registers = [registry];

  return {
    counter(name, help, labelNames = []): Counter {
      const counter = new prometheus.Counter({ name, help, labelNames: [...labelNames], registers });
      return { inc: (labels = {}, by = 1) => counter.inc(labels, by) };
    },
    totals(name, help, labelNames, read) {
      new prometheus.Counter({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        collect() {
          this.reset();
          for (const [labels, total] of read()) this.inc(labels, total);
        },
      });
    },
    gauge(name, help, labelNames = [], collect): Gauge {
      const gauge = new prometheus.Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        ...(collect === undefined ? {} : { collect: () => collect(port) }),
      });
      const port: Gauge = { set: (value, labels = {}) => gauge.set(labels, value) };
      return port;
    },
    histogram(name, help, buckets, labelNames = []): Histogram {
      const histogram = new prometheus.Histogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labelNames],
        registers,
      });
      return { observe: (value, labels = {}) => histogram.observe(labels, value) };
    },
    async render() {
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
