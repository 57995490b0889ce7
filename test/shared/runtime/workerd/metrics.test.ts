import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Metrics } from "../../../../shared/metrics.ts";
import { createMetrics } from "../../../../shared/runtime/metrics.ts";
import { createIsolateMetrics } from "../../../../shared/runtime/workerd/metrics.ts";
import { pause } from "../../../support/eventually.ts";

async function exercised(metrics: Metrics): Promise<string[]> {
  metrics.counter("tidings_plain_total", "Nothing yet");
  const requests = metrics.counter("tidings_requests_total", "Requests by answer", ["status"]);
  requests.inc({ status: "200" });
  requests.inc({ status: "200" }, 2);
  requests.inc({ status: 'a "quoted"\\ one\nand more' });
  metrics.totals("tidings_kept_total", "Kept elsewhere", ["a", "z"], () => [[{ a: "1", z: "2" }, 7]]);
  metrics.gauge("tidings_depth", "Depth").set(4);
  metrics.gauge("tidings_asked", "Asked at each scrape", ["lane"], (gauge) => gauge.set(1.5, { lane: "x" }));
  metrics.gauge("tidings_slow", "Asked, and slow", [], async (gauge) => {
    await pause(5);
    gauge.set(8);
  });
  const seconds = metrics.histogram("tidings_wait_seconds", "Waits", [0.1, 1], ["what"]);
  for (const value of [0.05, 0.1, 0.5, 3]) seconds.observe(value, { what: "x" });
  const { contentType, text } = await metrics.render();
  assert.match(contentType, /^text\/plain; version=0\.0\.4/);
  assert.ok(text.endsWith("\n"));
  // Prometheus reads series and labels in any order, and figures of the process are not a Worker's.
  return text.split("\n").filter((line) => /tidings_(?!process|nodejs|version)/.test(line))
    .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(",").toSorted().join(",")}}`))
    .toSorted();
}

describe("metrics of an isolate", () => {
  it("are the text that prom-client would make of them, less the process's own", async () => {
    const own = await exercised(createIsolateMetrics({ tier: "edge" }));
    assert.deepEqual(own, await exercised(createMetrics({ tier: "edge" })));
    assert.ok(own.length > 20);
  });

  it("say first that another scrape may be of another isolate", async () => {
    assert.match(
      (await createIsolateMetrics({}).render()).text,
      /^# These figures are of one isolate .*another isolate\.\n/,
    );
  });
});
