// `npm run scenario -- brokers|rolling [--cores N] [--edges N] [--rounds N]`: a hub on three real brokers under load. `brokers`
// kills one broker, then two; `rolling` restarts all processes in turn. It prints what happened, and ends with 1 if a promise
// of ARCHITECTURE §6 was broken.
import { parseArgs } from "node:util";
import { BREACHES } from "../support/load/audit.ts";
import { startKafkaCluster } from "../support/kafka/cluster.ts";
import { runBrokers } from "./brokers.ts";
import type { Phase, ScenarioReport } from "./load.ts";
import { runRolling } from "./rolling.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cores: { type: "string", default: "1" },
    edges: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
  },
});
const [name] = positionals;
const [cores, edges, rounds] = [Number(values.cores), Number(values.edges), Number(values.rounds)];
if ((name !== "brokers" && name !== "rolling") || ![cores, edges, rounds].every((one) => one >= 1)) {
  console.error("Usage: npm run scenario -- brokers|rolling [--cores N] [--edges N] [--rounds N]");
  process.exit(1);
}
const cluster = await startKafkaCluster();
try {
  console.log(`${name}: ${cores} core(s), ${edges} edge(s), three brokers, replication 3, min.insync.replicas 2\n`);
  console.log(
    "| phase | s | accepted | 503 with Retry-After | no answer | publish ms at most | 2xx to arrival ms at most |",
  );
  console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
  const options = { cluster, cores, edges, onPhase };
  if (name === "rolling") report(await runRolling({ ...options, rounds }));
  else {
    const result = await runBrokers({ ...options, kills: 3, doubleKills: rounds });
    report(result);
    console.log(`accepted while two were dead     ${result.acceptedWhileTwoWereDead}`);
    console.log(`refused while two were dead      ${result.refusedWhileTwoWereDead}`);
    if (result.acceptedWhileTwoWereDead > 0) process.exitCode = 1;
  }
} finally {
  await cluster.close();
}
process.exit();

function onPhase({ name, seconds, accepted, refused, unanswered, publishMs, deliverMs }: Phase): void {
  const cells = [name, seconds.toFixed(1), accepted, refused, unanswered, publishMs, deliverMs];
  console.log(`| ${cells.join(" | ")} |`);
}

function report({ accepted, deliveries, repeated, ended, breaches, seen }: ScenarioReport): void {
  console.log("");
  const rows: (readonly [string, number])[] = [
    ["publishes accepted", accepted],
    ["deliveries", deliveries],
    ...BREACHES.map((breach) => [breach, breaches[breach] ?? 0] as const),
    ["repeated, allowed", repeated - (breaches["forbidden repeat"] ?? 0)],
    ["ended by itself", ended],
  ];
  for (const [what, count] of rows) console.log(`${what.padEnd(32)} ${count}`);
  for (const what of seen) console.log(`  BROKEN  ${what}`);
  if (seen.length > 0) process.exitCode = 1;
}
