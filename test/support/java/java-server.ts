// A server of Java's for tests: it never outlives the process that started it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { signalChild } from "../hub/child.ts";

export interface JavaServerOptions {
  /** For people. */
  readonly name: string;
  /** The arguments of `java`. */
  readonly args: readonly string[];
  /** Where its data are; removed when this process has ended. */
  readonly directory: string;
  /** What it writes when it serves. */
  readonly ready: string;
  readonly readyWithinMs: number;
  /** Default this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface JavaServer {
  readonly pid: number;
  readonly exited: Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Starts it, and resolves when it serves. @throws {Error} with its output if it does not come up */
export async function startJavaServer(
  { name, args, directory, ready, readyWithinMs, env }: JavaServerOptions,
): Promise<JavaServer> {
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
