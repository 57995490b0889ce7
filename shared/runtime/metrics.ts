// The metrics port's adapter: prom-client, one registry a process.
import * as prometheus from "prom-client";
import type { Counter, Gauge, Histogram, Metrics } from "../metrics.ts";

/**
 * Makes the registry of one tier, with the process's own figures (`tidings_process_*`, `tidings_nodejs_eventloop_lag_*`);
 * every series is labelled with the tier.
 */
export function createMetrics({ tier }: { readonly tier: string }): Metrics {
  const registry = new prometheus.Registry();
  registry.setDefaultLabels({ tier });
  prometheus.collectDefaultMetrics({ register: registry, prefix: "tidings_" });
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
