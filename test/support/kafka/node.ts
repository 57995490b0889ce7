// One Kafka process for tests, in a temporary directory of its own. It can be stopped, killed, paused and started again on the
// same ports and data. It never outlives the process that started it.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { signalChild } from "../hub/child.ts";
import { kafkaClassPath } from "./jars.ts";
import type { Door } from "./properties.ts";

/** A broker of our own. */
export interface Kafka {
  /** Where clients connect, `127.0.0.1:port`; the same for life. */
  readonly address: string;
  /** Other addresses: the broker tells a client that connects to `to` to use `listen`, where a test's proxy forwards it to `to`. */
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
const STOP_DEADLINE_MS = 20_000;
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
    const identity = ["--cluster-id", options.clusterId, "--config", properties];
    await run("java", [...java, "kafka.tools.StorageTool", "format", ...identity, ...options.format ?? []]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    address: `127.0.0.1:${options.port}`,
    doors: options.doors ?? [],
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
  // It has its own process group: Ctrl-C reaches only the tests, which end the broker in their own order.
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
      // While its end is awaited, the process must stay alive.
      child.ref();
      signalChild(child, signal);
      if (signal === "SIGSTOP" || signal === "SIGCONT") child.unref();
    },
  };
}

/** Ends the broker and removes its data when this process has ended in whatever way: then the pipe closes. */
function watch(pid: number, directory: string): ChildProcess {
  const script = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"';
  const watchdog = spawn("sh", ["-c", script, "sh", String(pid), directory], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  unref(watchdog);
  return watchdog;
}

/** A test process must not wait for something that ends only when it ends itself. */
function unref(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    // Pipes are sockets on Node and Deno; on Bun they are plain streams, which keep no process alive.
    if (stream !== null && "unref" in stream) (stream as Socket).unref();
  }
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
