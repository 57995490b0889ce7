// The metrics port without prom-client, which needs Node: the text exposition format by hand. Each isolate of a Worker has its own.
import type { Counter, Gauge, Histogram, Labels, Metrics } from "../../metrics.ts";

interface Family {
  readonly head: string;
  /** Its series as lines. */
  readonly lines: () => string[] | Promise<string[]>;
}

/** Said first, since two scrapes may be of two isolates. */
const NOTE =
  "# These figures are of one isolate of a Worker, since it began. Another scrape may be of another isolate.";

/** Makes the registry of an isolate; every series is labelled with `own`. */
export function createIsolateMetrics(own: Labels): Metrics {
  const families: Family[] = [];
  const register = (name: string, help: string, type: string, lines: Family["lines"]) =>
    families.push({ head: `# HELP ${name} ${help}\n# TYPE ${name} ${type}`, lines });
  const keyOf = (labels: Labels) => writeLabels({ ...labels, ...own });

  return {
    counter(name, help, labelNames = []): Counter {
      const values = createValues(labelNames, keyOf);
      register(name, help, "counter", () => linesOf(name, values));
      return {
        inc: (labels = {}, by = 1) => {
          const key = keyOf(labels);
          values.set(key, (values.get(key) ?? 0) + by);
        },
      };
    },
    totals(name, help, _labelNames, read) {
      register(
        name,
        help,
        "counter",
        () => Array.from(read(), ([labels, total]) => `${name}${keyOf(labels)} ${total}`),
      );
    },
    gauge(name, help, labelNames = [], collect): Gauge {
      const values = createValues(labelNames, keyOf);
      const gauge: Gauge = { set: (value, labels = {}) => void values.set(keyOf(labels), value) };
      register(name, help, "gauge", async () => {
        await collect?.(gauge);
        return linesOf(name, values);
      });
      return gauge;
    },
    histogram(name, help, buckets): Histogram {
      const series = new Map<string, Series>();
      register(
        name,
        help,
        "histogram",
        () => [...series.values()].flatMap((one) => histogramLines(name, one, buckets, keyOf)),
      );
      return {
        observe(value, labels = {}) {
          const key = keyOf(labels);
          const one = series.get(key) ?? { labels, counts: buckets.map(() => 0), sum: 0, count: 0 };
          series.set(key, one);
          buckets.forEach((bound, index) => one.counts[index]! += value <= bound ? 1 : 0);
          one.sum += value;
          one.count++;
        },
      };
    },
    async render() {
      const texts = await Promise.all(families.map(async ({ head, lines }) => [head, ...await lines()].join("\n")));
      return { contentType: "text/plain; version=0.0.4; charset=utf-8", text: `${[NOTE, ...texts].join("\n")}\n` };
    },
  };
}

interface Series {
  readonly labels: Labels;
  /** How many values are at most each bound. */
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Values by the text of their labels. Without labels there is one from the start, as in prom-client. */
function createValues(labelNames: readonly string[], keyOf: (labels: Labels) => string): Map<string, number> {
  return new Map(labelNames.length === 0 ? [[keyOf({}), 0]] : []);
}

function linesOf(name: string, values: ReadonlyMap<string, number>): string[] {
  return Array.from(values, ([key, value]) => `${name}${key} ${value}`);
}

function histogramLines(
  name: string,
  { labels, counts, sum, count }: Series,
  buckets: readonly number[],
  keyOf: (labels: Labels) => string,
): string[] {
  const bounds = [...buckets.map((bound, index) => [String(bound), counts[index]!] as const), ["+Inf", count] as const];
  return [
    ...bounds.map(([le, below]) => `${name}_bucket${keyOf({ ...labels, le })} ${below}`),
    `${name}_sum${keyOf(labels)} ${sum}`,
    `${name}_count${keyOf(labels)} ${count}`,
  ];
}

/** `{a="1",b="2"}`, in the order of names. */
function writeLabels(labels: Labels): string {
  const parts = Object.entries(labels).toSorted(([a], [b]) => a < b ? -1 : 1).map(([name, value]) => {
    return `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
  });
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
