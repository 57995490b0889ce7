// A server of Java's for tests. It can be stopped, killed, paused and started again with the same arguments. It never outlives the
// process that started it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { signalChild } from "../hub/child.ts";

export interface JavaServerOptions {
  /** For people. */
  readonly name: string;
  /** The arguments of `java`. */
  readonly args: readonly string[];
  /** Where its data are; removed when it is closed, or this process has ended. */
  readonly directory: string;
  /** What it writes when it serves. */
  readonly ready: string;
  readonly readyWithinMs: number;
  /** Default this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface JavaServer {
  readonly pid: number | undefined;
  /** Asks it to end and waits; its data stay. */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL). */
  kill(): Promise<void>;
  /** Stops its clock (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void;
  /** Lets it go on (SIGCONT). */
  resume(): void;
  /** Starts it, at first and after `stop` or `kill`; resolves when it serves. @throws {Error} with its output if it does not come up */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  close(): Promise<void>;
}

const STOP_DEADLINE_MS = 20_000;

/** A server that is not started yet. */
export function createJavaServer(options: JavaServerOptions): JavaServer {
  let running: Running | undefined;
  const end = async (signal: NodeJS.Signals) => {
    const ending = running;
    if (ending === undefined) return;
    const late = setTimeout(() => ending.signal("SIGKILL"), STOP_DEADLINE_MS);
    ending.signal(signal);
    await ending.exited;
    clearTimeout(late);
  };
  return {
    get pid() {
      return running?.pid;
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    pause: () => running?.signal("SIGSTOP"),
    resume: () => running?.signal("SIGCONT"),
    async start() {
      if (running !== undefined) throw new Error(`${options.name} runs already`);
      running = await startJava(options);
      void running.exited.then(() => running = undefined);
    },
    async close() {
      await end("SIGKILL");
      await rm(options.directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

interface Running {
  readonly pid: number;
  readonly exited: Promise<void>;
  signal(name: NodeJS.Signals): void;
}

async function startJava(
  { name, args, directory, ready, readyWithinMs, env }: JavaServerOptions,
): Promise<Running> {
  // It has its own process group: Ctrl-C reaches only the tests, which end it in their own order.
  const child = spawn("java", args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env });
  if (child.pid === undefined) throw new Error("Cannot start java");
  const exited = once(child, "exit").then(() => {});
  const watchdog = watch(child.pid, directory);
  void exited.then(() => watchdog.kill("SIGKILL"));
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string) => {
      child.kill("SIGKILL");
      reject(new Error(`${name} ${what}; its output:\n${output}`));
    };
    const late = setTimeout(() => fail(`did not serve within ${readyWithinMs} ms`), readyWithinMs);
    const note = (part: Buffer) => {
      output = (output + part.toString()).slice(-20_000);
      if (!output.includes(ready)) return;
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

/** Ends the server and removes its data when this process has ended in whatever way: then the pipe closes. */
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
