import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { cpuSeconds, megabytes } from "./process-usage.ts";
import { executableOf } from "./runtimes.ts";

/** /proc says of any process the same, whatever runtime runs this test. */
const NODE = executableOf("node");
const BUSY_S = 0.3;
const HELD_BYTES = 150e6;
/** By its own account it uses a little more than that: ticks are rounded. */
const WORK = `const held = Buffer.alloc(${HELD_BYTES}, 1); const used = () => process.cpuUsage().user / 1e6;` +
  `while (used() < ${BUSY_S + 0.05}); console.log(process.pid, held.length); setInterval(() => {}, 1000);`;

describe("the usage of a process", { skip: process.platform !== "linux" && "it is read in /proc" }, () => {
  it("has the CPU and memory of what the process started, also where it only waits for it", async () => {
    const wrapper = spawn(NODE, [
      "-e",
      "require('node:child_process').spawn(process.execPath, ['-e', process.argv[1]], { stdio: 'inherit' })",
      WORK,
    ], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(wrapper.stdout.setEncoding("utf8"), "data") as [string];
    try {
      const used = await cpuSeconds(wrapper.pid!);
      assert.ok(used >= BUSY_S, `${used} CPU s`);
      const { now, peak } = await megabytes(wrapper.pid!);
      assert.ok(now >= HELD_BYTES / 1e6 && peak >= HELD_BYTES / 1e6, `${now} MB, at most ${peak} MB`);
    } finally {
      process.kill(Number(line.split(" ")[0]), "SIGKILL");
      await once(wrapper, "exit");
    }
  });

  it("is an error once the process has ended", async () => {
    const ended = spawn(NODE, ["-e", ""]);
    await once(ended, "exit");
    await assert.rejects(cpuSeconds(ended.pid!), /ENOENT/);
  });
});
