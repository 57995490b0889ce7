// A real Apache Kafka broker for tests: KRaft, one node, on free ports of 127.0.0.1, in a temporary directory. It can be
// stopped, killed, paused and started again on the same port and data. It never outlives the process that started it.
import { freePort } from "../free-port.ts";
import { demandingListener, type KafkaDemands, scramUsers } from "./demands.ts";
import { kafkaMissing } from "./jars.ts";
import { type Kafka, newClusterId, prepareKafkaNode } from "./node.ts";
import { type Door, kafkaProperties } from "./properties.ts";

/** A broker that tests may share. They use names of their own (`newPrefix`) and do not harm it. */
export interface KafkaForTests {
  /** Why there is none, else false: for `describe(title, { skip })`. */
  readonly skip: string | false;
  readonly brokers: readonly string[];
  /** Whether it was started here, so that retention and compaction run every few hundred ms and not every few minutes. */
  readonly ours: boolean;
  /** The second address, for a proxy of one test file; undefined if the broker was not started here. */
  door(user: DoorUser): Door | undefined;
  newPrefix(): string;
  close(): Promise<void>;
}

/** Test files run at the same time, and a port has only one proxy. */
const DOOR_USERS = ["group", "scenario"] as const;
export type DoorUser = (typeof DOOR_USERS)[number];

/**
 * A broker to share: the one of `TIDINGS_TEST_KAFKA_BROKERS`, else one of our own. If there can be neither, tests are skipped and
 * say so; with `REQUIRE_KAFKA=1` that is an error.
 */
export async function kafkaForTests(): Promise<KafkaForTests> {
  const newPrefix = () => `test-${process.pid}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  const given = process.env["TIDINGS_TEST_KAFKA_BROKERS"];
  if (given) {
    const ours = process.env["TIDINGS_TEST_KAFKA_OURS"] === "1";
    const doors = JSON.parse(process.env["TIDINGS_TEST_KAFKA_DOORS"] ?? "[]") as Door[];
    const door = doorIn(doors);
    return { skip: false, brokers: given.split(","), ours, door, newPrefix, close: () => Promise.resolve() };
  }
  const skip = await whyNoKafka();
  if (skip) return { skip, brokers: [], ours: false, door: doorIn([]), newPrefix, close: () => Promise.resolve() };
  const kafka = await startKafka();
  const door = doorIn(kafka.doors);
  return { skip: false, brokers: [kafka.address], ours: true, door, newPrefix, close: () => kafka.close() };
}

const doorIn = (doors: readonly Door[]) => (user: DoorUser) => doors[DOOR_USERS.indexOf(user)];

/** Why no broker can be started here, which is also printed, or false. @throws {Error} instead, if `REQUIRE_KAFKA=1` */
export async function whyNoKafka(): Promise<string | false> {
  const missing = await kafkaMissing();
  if (missing === undefined) return false;
  if (process.env["REQUIRE_KAFKA"] === "1") {
    throw new Error(`Cannot run the Kafka tests, and REQUIRE_KAFKA=1: ${missing}`);
  }
  console.error(`\n!!! KAFKA TESTS ARE SKIPPED: ${missing}, or set TIDINGS_TEST_KAFKA_BROKERS=host:port\n`);
  return missing;
}

/** The environment that makes child processes use a broker that was started here. */
export function environmentOf(kafka: Kafka): Record<string, string> {
  return {
    TIDINGS_TEST_KAFKA_BROKERS: kafka.address,
    TIDINGS_TEST_KAFKA_OURS: "1",
    TIDINGS_TEST_KAFKA_DOORS: JSON.stringify(kafka.doors),
  };
}

/**
 * Starts a broker with so many addresses, in 2 to 5 s. It admits any client, or the clients that meet its demands.
 * @throws {Error} with its output if it does not come up
 */
export async function startKafka(demands?: KafkaDemands, doorCount: number = DOOR_USERS.length): Promise<Kafka> {
  const [port, controllerPort] = [await freePort(), await freePort()];
  const doors: Door[] = [];
  while (doors.length < doorCount) doors.push({ listen: await freePort(), to: await freePort() });
  const ports = { port, controllerPort, doors };
  const properties = async (directory: string) =>
    demands === undefined
      ? kafkaProperties([ports], 0)
      : kafkaProperties([ports], 0, await demandingListener(directory, ports, demands));
  const format = demands === undefined ? [] : scramUsers(demands);
  const kafka = await prepareKafkaNode({ port, doors, properties, clusterId: newClusterId(), format, heapMb: 512 });
  try {
    await kafka.start();
  } catch (error) {
    await kafka.close();
    throw error;
  }
  return kafka;
}
