// `npm run demo [-- --kafka] [--runtime R]`: real documents go to four subscribers, of which one goes away, through a core that is killed.
// It ends with 1 if a promise is broken.

import { parseArgs } from "node:util";
import { eventually, pause } from "../support/eventually.ts";
import { loadFixtures } from "../support/fixtures.ts";
import { post } from "../support/hub/hub-client.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { type Pairing, pairingOf, PAIRINGS, versionsOf } from "../support/hub/pairings.ts";
import { startKafka } from "../support/kafka/kafka.ts";
import { streamsOnKafka } from "../support/kafka/topics.ts";
import { account, table } from "./promises.ts";
import { publishUntilAccepted } from "./publisher.ts";
import type { Publication } from "./publisher.ts";
import { openOldReader, openSubscriber } from "./subscribers.ts";

const TOPIC = "demo/every kind of document";
const DOCUMENTS = 200;
const GOES_DOWN_AFTER = 100;
const CORE_KILLED_AFTER = 130;
/** Time between two documents, long enough that the hub writes its positions (every second) in between. */
const PACE_MS = 20;
/** Messages must come within this time once all subscribers and the core are up. */
const ARRIVAL_DEADLINE_MS = 20_000;
/** A repeat that is under way would come within this time. */
const SETTLE_MS = 700;

const begun = performance.now();
const { values } = parseArgs({
  options: { kafka: { type: "boolean", default: false }, runtime: { type: "string", default: "node" } },
});
const pairing = pairingOf(values.runtime);
if (pairing === undefined) {
  console.error(
    `demo: --runtime must be one of ${Object.keys(PAIRINGS).join(", ")}, not ${JSON.stringify(values.runtime)}`,
  );
  process.exit(1);
}
await using open = new AsyncDisposableStack();
process.once("SIGINT", () => void open.disposeAsync().finally(() => process.exit(130)));
try {
  process.exitCode = await demo(values.kafka, pairing);
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function demo(withKafka: boolean, pairing: Pairing): Promise<number> {
  const hub = await startHub(withKafka, pairing);
  const subscribers = [
    await openSubscriber("reader", hub.url, TOPIC, "a plain secret"),
    await openSubscriber("partner", hub.url, TOPIC, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    await openSubscriber("goes away", hub.url, TOPIC, "grüße & 秘密"),
    await openOldReader(hub.url, TOPIC),
  ] as const;
  for (const subscriber of subscribers) open.defer(() => subscriber.close());
  const leaver = subscribers[2];

  const registered = await post(hub, { "hub.mode": "register", "hub.topic": TOPIC });
  if (registered.status !== 200) throw new Error(`The register was answered ${registered.status} ${registered.text}`);
  await Promise.all(subscribers.map((subscriber) => subscriber.subscribe()));
  say(`${subscribers.length} callbacks are subscribed to "${TOPIC}"`);

  const fixtures = await loadFixtures();
  const published: Publication[] = [];
  let [killedAt, restarted] = [Infinity, Promise.resolve()];
  for (let n = 0; n < DOCUMENTS; n += 1) {
    const document = fixtures[n % fixtures.length];
    if (document === undefined) throw new Error("There are no fixtures");
    if (n === GOES_DOWN_AFTER) {
      await leaver.goDown();
      say(`"${leaver.name}" is down, after ${n} documents`);
    }
    if (n === CORE_KILLED_AFTER) {
      killedAt = performance.now();
      restarted = restartCore(hub, n);
      // The promise is awaited below; a failure must not end the process before that.
      restarted.catch(() => {});
    }
    published.push(await publishUntilAccepted(hub, TOPIC, document));
    await pause(PACE_MS);
  }
  await restarted;
  const retries = published.reduce((sum, publication) => sum + publication.retries, 0);
  say(
    `${published.length} documents of ${fixtures.length} kinds are published; the publisher had to repeat ${retries} requests`,
  );
  const held = published.length - new Set(leaver.arrivals().map(({ id }) => id)).size;
  await leaver.comeBack();
  say(`"${leaver.name}" is back; ${held} messages wait for it`);

  const ids = published.map(({ id }) => id);
  // The table shows which subscriber is incomplete after the deadline.
  await eventually("all messages at all subscribers", () =>
    subscribers.every((subscriber) => {
      const here = new Set(subscriber.arrivals().map(({ id }) => id));
      return ids.every((id) => here.has(id));
    }), { deadlineMs: ARRIVAL_DEADLINE_MS }).catch(() => {});
  await pause(SETTLE_MS);
  await Promise.all(subscribers.map((subscriber) => subscriber.unsubscribe()));

  const accounts = subscribers.map((subscriber) => ({
    subscriber,
    ...account(published, subscriber.arrivals(), { signed: subscriber.signed, killedAt }),
  }));
  console.log();
  const heading = ["subscriber", "received", "missing", "repeated", "out of order", "equal SHA-256", "good signatures"];
  const rows = accounts.map(({ subscriber, received, missing, repeated, outOfOrder, equalBodies, goodSignatures }) => [
    subscriber.name,
    received,
    missing,
    repeated,
    outOfOrder,
    equalBodies,
    subscriber.signed ? goodSignatures : "no secret",
  ]);
  for (const line of table([heading, ...rows])) console.log(line);
  console.log();
  const broken = accounts.flatMap(({ subscriber, broken }) =>
    broken.map((promise) => `${subscriber.name}: ${promise}`)
  );
  for (const promise of new Set(broken.slice(0, 20))) console.error(`BROKEN  ${promise}`);
  say(broken.length === 0 ? "Every promise was kept" : `${broken.length} promises were broken`);
  return broken.length === 0 ? 0 : 1;
}

async function startHub(withKafka: boolean, { runtimes }: Pairing): Promise<OwnHub> {
  say(`The hub runs on ${await versionsOf(runtimes)}`);
  const quietly = { TIDINGS_LOG_LEVEL: "error" };
  if (!withKafka) {
    const hub = await openOwnHub({ runtimes, settings: quietly });
    open.defer(() => hub.close());
    say(`The hub is at ${hub.url}, its log in ${hub.dataDir}`);
    return hub;
  }
  const kafka = await startKafka();
  open.defer(() => kafka.close());
  say(`Kafka runs at ${kafka.address}`);
  const prefix = "demo";
  const log = { TIDINGS_KAFKA_BROKERS: kafka.address, TIDINGS_KAFKA_PREFIX: prefix };
  const hub = await openOwnHub({ runtimes, settings: { ...quietly, ...log } });
  open.defer(() => hub.close());
  const streams = await streamsOnKafka([kafka.address], prefix);
  if (!streams.includes("messages")) throw new Error("The hub was told to keep its log on Kafka, and did not");
  say(`The hub is at ${hub.url}, its log on Kafka: ${streams.join(", ")}`);
  return hub;
}

async function restartCore(hub: OwnHub, n: number): Promise<void> {
  await hub.kill("core");
  say(`The core was killed (SIGKILL), after ${n} documents; publishing goes on`);
  await hub.start("core");
  say("The core runs again");
}

function say(line: string): void {
  console.log(`${((performance.now() - begun) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
}
