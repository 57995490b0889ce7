import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { capabilities } from "../../../shared/runtime/process.ts";
import { createMetrics } from "../../../shared/runtime/metrics.ts";
import { pause } from "../../support/eventually.ts";

describe("metrics", () => {
  it("are rendered as the text that Prometheus reads, each series with its tier", async () => {
    const metrics = createMetrics({ tier: "edge" });
    const requests = metrics.counter("tidings_requests_total", "Requests by answer", ["status"]);
    requests.inc({ status: "200" });
    requests.inc({ status: "200" }, 2);
    metrics.gauge("tidings_depth", "Depth").set(4);
    const seconds = metrics.histogram("tidings_wait_seconds", "Waits", [0.1, 1], ["what"]);
    seconds.observe(0.5, { what: "x" });
    const { contentType, text } = await metrics.render();
    assert.match(contentType, /^text\/plain; version=0\.0\.4/);
    assert.match(text, /^# HELP tidings_requests_total Requests by answer$/m);
    assert.match(text, /^tidings_requests_total\{status="200",tier="edge"\} 3$/m);
    assert.match(text, /^tidings_depth\{tier="edge"\} 4$/m);
    assert.match(text, /^tidings_wait_seconds_bucket\{le="0\.1",tier="edge",what="x"\} 0$/m);
    assert.match(text, /^tidings_wait_seconds_bucket\{le="1",tier="edge",what="x"\} 1$/m);
  });

  it("ask a gauge's owner at each scrape", async () => {
    const metrics = createMetrics({ tier: "core" });
    let lag = 1;
    metrics.gauge("tidings_lag", "Lag", ["lane"], (gauge) => gauge.set(lag++, { lane: "a" }));
    assert.match((await metrics.render()).text, /^tidings_lag\{lane="a",tier="core"\} 1$/m);
    assert.match((await metrics.render()).text, /^tidings_lag\{lane="a",tier="core"\} 2$/m);
  });

  it("wait for a gauge whose values take long", async () => {
    const metrics = createMetrics({ tier: "core" });
    metrics.gauge("tidings_lag", "Lag", [], async (gauge) => {
      await new Promise((resolve) => setImmediate(resolve));
      gauge.set(7);
    });
    assert.match((await metrics.render()).text, /^tidings_lag\{tier="core"\} 7$/m);
  });

  it("tell of the process what its runtime can tell, never 0 for what it cannot", async () => {
    const metrics = createMetrics({ tier: "core" });
    const valueIn = (text: string, name: string) => {
      const found = new RegExp(`^${name}\\{[^}]*\\} (.*)$`, "m").exec(text)?.[1];
      return found === undefined ? undefined : Number(found);
    };
    // Node's histogram begins with its first tick.
    await pause(50);
    const late = Date.now() + 300;
    while (Date.now() < late);
    await pause(50);
    const { text } = await metrics.render();
    const expected = {
      cpu: "cpu_seconds_total",
      memory: "resident_memory_bytes",
      virtual: "heap_bytes",
      files: "open_fds",
    };
    for (const [figure, name] of Object.entries(expected)) {
      const value = valueIn(text, `tidings_process_${name}`);
      const has = capabilities().processMetrics.some((one) => one === figure);
      assert.equal(value !== undefined, has, name);
      if (has) assert.ok(value! > 0, `${name} is ${value}`);
    }
    const rss = valueIn(text, "tidings_process_resident_memory_bytes")!;
    assert.ok(Math.abs(rss - process.memoryUsage().rss) < rss / 2);
    assert.ok(valueIn(text, "tidings_process_late_seconds_total")! > 0.25);
    const longest = valueIn(text, "tidings_nodejs_eventloop_lag_max_seconds");
    if (capabilities().processMetrics.includes("lag")) assert.ok(longest! > 0.25);
    else assert.equal(longest, undefined);
    assert.equal(text.includes("tidings_nodejs_gc_duration_seconds"), capabilities().processMetrics.includes("gc"));
  });

  it("of two registries are separate", async () => {
    createMetrics({ tier: "core" }).counter("tidings_twice_total", "x").inc();
    const other = createMetrics({ tier: "core" });
    other.counter("tidings_twice_total", "x").inc({}, 7);
    assert.match((await other.render()).text, /^tidings_twice_total\{tier="core"\} 7$/m);
  });
});
