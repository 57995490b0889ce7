// One Kafka process for tests, in a temporary directory of its own. It can be stopped, killed, paused and started again on the
// same ports and data. It never outlives the process that started it.
import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createJavaServer, type JavaServer } from "../java/java-server.ts";
import { kafkaClassPath } from "./jars.ts";
import type { Door } from "./properties.ts";

/** A broker of our own. */
export interface Kafka extends JavaServer {
  /** Where clients connect, `127.0.0.1:port`; the same for life. */
  readonly address: string;
  /** Other addresses: the broker tells a client that connects to `to` to use `listen`, where a test's proxy forwards it to `to`. */
  readonly doors: readonly Door[];
}

export interface KafkaNodeOptions {
  readonly port: number;
  /** Default none. */
  readonly doors?: readonly Door[];
  /** The lines of `server.properties` except those on its data; may write files that they name into its directory. */
  readonly properties: (directory: string) => readonly string[] | Promise<readonly string[]>;
  readonly clusterId: string;
  /** More arguments for `StorageTool format`; default none. */
  readonly format?: readonly string[];
  readonly heapMb: number;
}

const run = promisify(execFile);
const READY_DEADLINE_MS = 60_000;
const JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

/** A new cluster's id, as Kafka writes them. */
export function newClusterId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url").replace(/^-/, "A");
}

/** Makes a node's directory; `start` starts it. @throws {Error} with the output of the tool that failed */
export async function prepareKafkaNode(options: KafkaNodeOptions): Promise<Kafka> {
  const classPath = await kafkaClassPath();
  const directory = await mkdtemp(join(tmpdir(), "tidings-kafka-"));
  const properties = join(directory, "server.properties");
  const logging = join(directory, "log4j2.properties");
  await writeFile(
    properties,
    [...await options.properties(directory), `log.dirs=${join(directory, "data")}`, ""].join("\n"),
  );
  await writeFile(logging, LOGGING);
  const heap = [`-Xms${Math.min(64, options.heapMb)}m`, `-Xmx${options.heapMb}m`];
  const java = [...heap, ...JVM, `-Dlog4j2.configurationFile=${logging}`, "-cp", classPath];
  const server = createJavaServer({
    name: "Kafka",
    args: [...java, "kafka.Kafka", properties],
    directory,
    ready: "Kafka Server started",
    readyWithinMs: READY_DEADLINE_MS,
  });
  try {
    const identity = ["--cluster-id", options.clusterId, "--config", properties];
    await run("java", [...java, "kafka.tools.StorageTool", "format", ...identity, ...options.format ?? []]);
  } catch (error) {
    await server.close();
    throw error;
  }
  return Object.assign(server, { address: `127.0.0.1:${options.port}`, doors: options.doors ?? [] });
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
