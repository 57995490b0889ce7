// The ceiling for any hub on this machine: a bare dispatch loop that sends the same requests to the same sink, with the headers
// of WIRE §3 and both HMACs for each: `node test/bench/ceiling.ts --sink PORT --messages N --connections N`.
import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { quantile, stampedBody } from "./clock.ts";
import { runLoad } from "./load.ts";

export interface CeilingReport {
  readonly delivered: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
}

const { values } = parseArgs({
  options: {
    sink: { type: "string" },
    messages: { type: "string", default: "20000" },
    connections: { type: "string", default: "100" },
    bytes: { type: "string", default: "1024" },
  },
});

const connections = Number(values.connections);
const link = `<http://127.0.0.1:9191/hub>; rel="hub", <https://bench.test/topic>; rel="self"`;
const keys = Array.from({ length: connections }, () => createSecretKey(randomBytes(32)));

function headers(n: number, body: Buffer): string[] {
  const id = `msg_${n.toString(36).padStart(22, "0")}`;
  const timestamp = String(Math.floor(Date.now() / 1000));
  const key = keys[n % connections]!;
  const signature = createHmac("sha256", key).update(body).digest("hex");
  const standard = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  return [
    "content-type",
    "application/json",
    "link",
    link,
    "webhook-id",
    id,
    "webhook-timestamp",
    timestamp,
    "x-hub-cursor",
    `1.${id}.0.${n}`,
    "user-agent",
    "Tidings/0.1.0",
    "traceparent",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-hub-signature",
    `sha256=${signature}`,
    "webhook-signature",
    `v1,${standard}`,
  ];
}

let body = Buffer.alloc(0);
const result = await runLoad({
  origin: `http://127.0.0.1:${values.sink}`,
  connections,
  count: Number(values.messages),
  request: (n) => {
    // One message for each round of connections, as with that many subscriptions.
    if (n % connections === 0) body = Buffer.from(stampedBody(Number(values.bytes)));
    return { path: `/callback/${n % connections}`, headers: headers(n, body), body };
  },
});
if (result.failed > 0) throw new Error(`${result.failed} of ${values.messages} deliveries to the sink failed`);
const report: CeilingReport = {
  delivered: result.answered2xx,
  seconds: result.seconds,
  p50: quantile(result.latencies, 0.5),
  p99: quantile(result.latencies, 0.99),
};
console.log(JSON.stringify(report));
