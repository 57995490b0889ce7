import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../eventually.ts";
import { whyNoKafka } from "./kafka.ts";

const BROKER = fileURLToPath(new URL("./broker.ts", import.meta.url));

describe("a broker for tests", { skip: await whyNoKafka(), timeout: 60_000 }, () => {
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    it(`does not outlive the process that started it, ended by ${signal}`, async () => {
      const child = spawn(process.execPath, [BROKER], { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      child.stdout.on("data", (part: Buffer) => void (output += part.toString()));
      const ended = once(child, "exit");
      const pid = await eventually("the broker", () => Number(/pid (\d+)/.exec(output)?.[1]), { deadlineMs: 40_000 });
      const directory = /(\S+)\/server\.properties/.exec(
        await readFile(`/proc/${pid}/cmdline`, "utf8").then((line) => line.replaceAll("\0", " ")),
      )?.[1] ?? "";
      assert.ok(existsSync(directory), directory);
      child.kill(signal);
      await ended;
      await eventually("the broker's end", () => !isRunning(pid));
      await eventually("no data left", () => !existsSync(directory));
    });
  }
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
