// A Kafka broker by hand: `node test/support/kafka/broker.ts` prints its address and runs until Ctrl-C.
import { once } from "node:events";
import { startKafka, whyNoKafka } from "./kafka.ts";

if (await whyNoKafka()) process.exit(1);
const kafka = await startKafka();
console.log(`Kafka serves at ${kafka.address} (pid ${kafka.pid}); Ctrl-C ends it and removes its data`);
console.log(`TIDINGS_TEST_KAFKA_BROKERS=${kafka.address} TIDINGS_TEST_KAFKA_OURS=1 node test/run.ts test/core`);
// The broker itself keeps no process alive.
const alive = setInterval(() => {}, 60_000);
await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
clearInterval(alive);
await kafka.close();
