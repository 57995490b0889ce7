// A real Apache Kafka broker for tests: KRaft, one node, on free ports of 127.0.0.1, in a temporary directory. It can be
// stopped, killed, paused and started again on the same port and data. It never outlives the process that started it.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./hub.ts";
import { kafkaClassPath, kafkaMissing } from "./kafka-jars.ts";

/** A broker of our own. */
export interface Kafka {
  /** Where clients connect, `127.0.0.1:port`; the same for life. */
  readonly address: string;
  /** Other doors: who comes in by `to` is told to connect to `listen`, where a test's own proxy is to pass it on. */
  readonly doors: readonly Door[];
  readonly pid: number | undefined;
  /** Asks it to end and waits; data and port stay. */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL). */
  kill(): Promise<void>;
  /** Stops its clock (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void;
  /** Lets it go on (SIGCONT). */
  resume(): void;
  /** Starts it again after `stop` or `kill`; resolves when it serves. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  close(): Promise<void>;
}

/** Ports of 127.0.0.1, as `openStallingProxy` takes them. */
export interface Door {
  readonly listen: number;
  readonly to: number;
}

/** What a broker demands of clients: TLS, and SASL by any of its mechanisms. */
export interface KafkaDemands {
  /** PEM: key, certificate and authorities, as Kafka's PEM stores want them. */
  readonly keystore: string;
  /** PEM: if given, clients must have a certificate of these. */
  readonly clientCa?: string;
  readonly username: string;
  readonly password: string;
  /** How long a client counts as known before it must say again who it is, ms. */
  readonly reauthenticateMs: number;
}

/** A broker that tests may share: make names of your own (`newPrefix`), and do it no harm. */
export interface KafkaForTests {
  /** Why there is none, else false: for `describe(title, { skip })`. */
  readonly skip: string | false;
  readonly brokers: readonly string[];
  /** Whether it was started here, so that retention and compaction run every few hundred ms and not every few minutes. */
  readonly ours: boolean;
  /** The door for a proxy of one test file; undefined where the broker was not started here. */
  door(user: DoorUser): Door | undefined;
  newPrefix(): string;
  close(): Promise<void>;
}

/** Files run at the same time, and a port has one proxy. */
const DOOR_USERS = ["group", "scenario"] as const;
export type DoorUser = (typeof DOOR_USERS)[number];

const run = promisify(execFile);
const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;
const JVM = ["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

/**
 * A broker to share: the one of `TIDINGS_TEST_KAFKA_BROKERS`, else one of our own. Where it can be neither, tests are
 * skipped, aloud; with `REQUIRE_KAFKA=1` that is an error.
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

/** Why no broker can be started here, said aloud, or false. @throws {Error} instead, if `REQUIRE_KAFKA=1` */
export async function whyNoKafka(): Promise<string | false> {
  const missing = await kafkaMissing();
  if (missing === undefined) return false;
  if (process.env["REQUIRE_KAFKA"] === "1") {
    throw new Error(`Cannot run the Kafka tests, and REQUIRE_KAFKA=1: ${missing}`);
  }
  console.error(`\n!!! KAFKA TESTS ARE SKIPPED: ${missing}, or set TIDINGS_TEST_KAFKA_BROKERS=host:port\n`);
  return missing;
}

/** What tells child processes to use a broker that was started here. */
export function environmentOf(kafka: Kafka): Record<string, string> {
  return {
    TIDINGS_TEST_KAFKA_BROKERS: kafka.address,
    TIDINGS_TEST_KAFKA_OURS: "1",
    TIDINGS_TEST_KAFKA_DOORS: JSON.stringify(kafka.doors),
  };
}

/** Starts a broker, in 2 to 5 s, that takes anyone or who meets its demands. @throws {Error} with its output if it does not come up */
export async function startKafka(demands?: KafkaDemands): Promise<Kafka> {
  const classPath = await kafkaClassPath();
  const directory = await mkdtemp(join(tmpdir(), "tidings-kafka-"));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const doors: Door[] = [];
  for (const _ of DOOR_USERS) doors.push({ listen: await freePort(), to: await freePort() });
  const properties = join(directory, "server.properties");
  const logging = join(directory, "log4j2.properties");
  const clients = demands === undefined
    ? openListeners(port, controllerPort, doors)
    : await demandingListener(directory, port, controllerPort, demands);
  await writeFile(properties, serverProperties(directory, controllerPort, clients));
  await writeFile(logging, LOGGING);
  const java = [...JVM, `-Dlog4j2.configurationFile=${logging}`, "-cp", classPath];
  let running: Running | undefined;

  const start = async () => {
    if (running !== undefined) throw new Error("The broker runs already");
    running = await startJava([...java, "kafka.Kafka", properties], directory);
    void running.exited.then(() => running = undefined);
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = running;
    if (ending === undefined) return;
    const late = setTimeout(() => ending.signal("SIGKILL"), STOP_DEADLINE_MS);
    ending.signal(signal);
    await ending.exited;
    clearTimeout(late);
  };
  const close = async () => {
    await end("SIGKILL");
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url").replace(/^-/, "A");
    await run("java", [
      ...java,
      "kafka.tools.StorageTool",
      "format",
      "--standalone",
      "--cluster-id",
      id,
      "--config",
      properties,
      ...(demands === undefined ? [] : scramUsers(demands)),
    ]);
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    address: `127.0.0.1:${port}`,
    doors,
    get pid() {
      return running?.pid;
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    pause: () => running?.signal("SIGSTOP"),
    resume: () => running?.signal("SIGCONT"),
    start,
    close,
  };
}

interface Running {
  readonly pid: number;
  readonly exited: Promise<void>;
  signal(signal: NodeJS.Signals): void;
}

async function startJava(args: readonly string[], directory: string): Promise<Running> {
  // Its own process group: Ctrl-C is for the tests, which end it in their own order.
  const child = spawn("java", args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  if (child.pid === undefined) throw new Error("Cannot start java");
  const exited = once(child, "exit").then(() => {});
  const watchdog = watch(child.pid, directory);
  void exited.then(() => watchdog.kill("SIGKILL"));
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string) => {
      child.kill("SIGKILL");
      reject(new Error(`Kafka ${what}; its output:\n${output}`));
    };
    const late = setTimeout(() => fail(`did not serve within ${READY_DEADLINE_MS} ms`), READY_DEADLINE_MS);
    const note = (part: Buffer) => {
      output = (output + part.toString()).slice(-20_000);
      if (!output.includes("Kafka Server started")) return;
      clearTimeout(late);
      resolve();
    };
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    void exited.then(() => {
      clearTimeout(late);
      fail("ended while it started");
    });
  });
  unref(child);
  return {
    pid: child.pid,
    exited,
    signal(signal) {
      // While its end is awaited it counts as work.
      child.ref();
      child.kill(signal);
      if (signal === "SIGSTOP" || signal === "SIGCONT") child.unref();
    },
  };
}

/** Ends the broker and removes its data when this process is gone, however it went: then the pipe closes. */
function watch(pid: number, directory: string): ChildProcess {
  const script = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"';
  const watchdog = spawn("sh", ["-c", script, "sh", String(pid), directory], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  unref(watchdog);
  return watchdog;
}

/** A test process must not wait for what would only end with it. */
function unref(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket | null)?.unref();
}

function scramUsers({ username, password }: KafkaDemands): string[] {
  return ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
    "--add-scram",
    `${mechanism}=[name=${username},password=${password}]`,
  ]);
}

async function demandingListener(
  directory: string,
  port: number,
  controllerPort: number,
  { keystore, clientCa, username, password, reauthenticateMs }: KafkaDemands,
): Promise<string[]> {
  const [store, trust] = [join(directory, "keystore.pem"), join(directory, "truststore.pem")];
  await writeFile(store, keystore);
  if (clientCa !== undefined) await writeFile(trust, clientCa);
  const security = "org.apache.kafka.common.security";
  const jaas = (mechanism: string, module: string) =>
    `listener.name.clients.${mechanism}.sasl.jaas.config=${security}.${module};`;
  return [
    `listeners=CLIENTS://127.0.0.1:${port},PLAINTEXT://127.0.0.1:${await freePort()},CONTROLLER://127.0.0.1:${controllerPort}`,
    "listener.security.protocol.map=CLIENTS:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name=PLAINTEXT",
    "ssl.keystore.type=PEM",
    `ssl.keystore.location=${store}`,
    ...(clientCa === undefined ? [] : [
      "ssl.truststore.type=PEM",
      `ssl.truststore.location=${trust}`,
      "listener.name.clients.ssl.client.auth=required",
    ]),
    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    `connections.max.reauth.ms=${reauthenticateMs}`,
    jaas("plain", `plain.PlainLoginModule required user_${username}="${password}"`),
    jaas("scram-sha-256", "scram.ScramLoginModule required"),
    jaas("scram-sha-512", "scram.ScramLoginModule required"),
    // Takes unsigned tokens that are not over: it is the sending of them that is tested.
    jaas("oauthbearer", 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"'),
  ];
}

function openListeners(port: number, controllerPort: number, doors: readonly Door[]): string[] {
  const at = (port: number) => `127.0.0.1:${port}`;
  const doorsAt = (port: "listen" | "to") => doors.map((door, index) => `,DOOR${index}://${at(door[port])}`).join("");
  const protocols = doors.map((_, index) => `,DOOR${index}:PLAINTEXT`).join("");
  return [
    `listeners=PLAINTEXT://${at(port)},CONTROLLER://${at(controllerPort)}${doorsAt("to")}`,
    `advertised.listeners=PLAINTEXT://${at(port)}${doorsAt("listen")}`,
    `listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols}`,
  ];
}

function serverProperties(directory: string, controllerPort: number, clients: readonly string[]): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    ...clients,
    "controller.listener.names=CONTROLLER",
    `controller.quorum.bootstrap.servers=127.0.0.1:${controllerPort}`,
    `log.dirs=${join(directory, "data")}`,
    "auto.create.topics.enable=false",
    // A killed broker may come back when its session is over.
    "broker.session.timeout.ms=1500",
    "broker.heartbeat.interval.ms=300",
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "transaction.state.log.num.partitions=4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
    // What takes minutes in production is to be seen in a test.
    "log.initial.task.delay.ms=300",
    "log.retention.check.interval.ms=300",
    "log.cleaner.backoff.ms=300",
    "log.cleaner.dedupe.buffer.size=8388608",
    "num.network.threads=2",
    "num.io.threads=4",
    "",
  ].join("\n");
}

const LOGGING = [
  "rootLogger.level=warn",
  "rootLogger.appenderRef.console.ref=console",
  "appender.console.type=Console",
  "appender.console.name=console",
  "appender.console.layout.type=PatternLayout",
  "appender.console.layout.pattern=%d{ABSOLUTE} %p %c{1} %m%n",
  "logger.server.name=kafka.server.KafkaRaftServer",
  "logger.server.level=info",
  "",
].join("\n");
