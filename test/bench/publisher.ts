// The publisher of the bench, a process of its own: `node test/bench/publisher.ts --hub URL --topic T --messages N …`.
// Prints one line of JSON, a PublisherReport.
import { parseArgs } from "node:util";
import { clock, quantile, stampedBody } from "./clock.ts";
import { runLoad } from "./load.ts";

export interface PublisherReport {
  readonly published: number;
  readonly failed: number;
  /** Those of the failed that were told to come later. */
  readonly refused: number;
  readonly seconds: number;
  /** When the first message was sent, by clock.ts. */
  readonly startedAt: number;
  /** From request to answer, ms. */
  readonly p50: number;
  readonly p99: number;
  readonly refusedP99: number;
}

const { values } = parseArgs({
  options: {
    hub: { type: "string", default: "http://127.0.0.1:9191/hub" },
    topic: { type: "string", default: "https://bench.test/topic" },
    messages: { type: "string", default: "1000" },
    connections: { type: "string", default: "32" },
    rate: { type: "string" },
    bytes: { type: "string", default: "1024" },
    token: { type: "string" },
  },
});

const hub = new URL(values.hub);
const path = `${hub.pathname}?hub.mode=publish&hub.topic=${encodeURIComponent(values.topic)}`;
const bytes = Number(values.bytes);
const headers = ["content-type", "application/json"];
if (values.token !== undefined) headers.push("authorization", `Bearer ${values.token}`);
const startedAt = clock();
const result = await runLoad({
  origin: hub.origin,
  connections: Number(values.connections),
  count: Number(values.messages),
  ...(values.rate === undefined ? {} : { rate: Number(values.rate) }),
  request: () => ({ path, headers, body: stampedBody(bytes) }),
});
const report: PublisherReport = {
  published: result.answered2xx,
  failed: result.failed,
  refused: result.refused,
  seconds: result.seconds,
  startedAt,
  p50: quantile(result.latencies, 0.5),
  p99: quantile(result.latencies, 0.99),
  refusedP99: quantile(result.refusals, 0.99),
};
console.log(JSON.stringify(report));
