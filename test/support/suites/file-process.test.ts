// Real files under the test command of each runtime: what they come to is counted, and nothing bad passes.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../eventually.ts";
import { lives } from "../hub/child.ts";
import { ALL_RUNTIMES } from "../runtimes.ts";
import { type FileOutcome, runFile } from "./file-process.ts";

const HEAD = `import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
const sleeper = () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  child.unref();
  writeFileSync(process.env.PID_FILE, String(child.pid));
};
`;

for (const on of ALL_RUNTIMES) {
  describe(`a test file on ${on}`, { concurrency: 2, timeout: 60_000 }, () => {
    let directory = "";
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "tidings-suites-"));
    });
    after(() => rm(directory, { recursive: true, force: true }));

    let files = 0;
    const outcomeOf = async (
      source: string,
      { deadlineMs = 30_000, signal = new AbortController().signal, pidFile = "" } = {},
    ): Promise<FileOutcome> => {
      const path = join(directory, `file-${files += 1}.test.ts`);
      await writeFile(path, HEAD + source);
      return await runFile(path, { on, deadlineMs, signal, environment: { PID_FILE: pidFile } });
    };
    const pidIn = (file: string) =>
      eventually("the process", async () => Number(await readFile(file, "utf8").catch(() => "")));

    it("counts its tests, not their groups", async () => {
      const { passed, failed, skipped } = await outcomeOf(`
        describe("outer", () => {
          it("one > with a sign", () => {});
          describe("inner", () => {
            it("two", () => {});
            it("bad", () => { throw new Error("on purpose"); });
            it("left out", { skip: "for a reason" }, () => {});
          });
        });
        it("three", () => {});`);
      assert.equal(passed.length, 3);
      assert.deepEqual(failed.map((name) => name.split(" > ").at(-1)), ["bad"]);
      assert.deepEqual(skipped.map(({ test }) => test.split(" > ").at(-1)), ["left out"]);
    });

    for (
      const [what, source, failure] of [
        ["cannot be loaded", `import "./nowhere.ts";`, /./],
        ["ends without a test", "", /has no test/],
        [
          "throws beside its tests",
          `it("good", () => {}); setTimeout(() => { throw new Error("late"); }); it("waits", () => new Promise((resolve) => setTimeout(resolve, 200)));`,
          /./,
        ],
        ["ends itself", `it("good", () => {}); it("ends", () => { process.exit(0); });`, /./],
      ] as const
    ) {
      it(`that ${what} has failed`, async () => {
        const { failed, output } = await outcomeOf(source);
        assert.match(failed.join(), failure, output);
      });
    }

    it("that leaves a process behind has failed, and the process does not live on", async () => {
      const pidFile = join(directory, "left");
      const { passed, failed } = await outcomeOf(`it("good", () => sleeper());`, { pidFile });
      assert.deepEqual([passed.length, failed], [1, ["the file left a process behind"]]);
      const pid = await pidIn(pidFile);
      await eventually("its end", () => !lives(pid));
    });

    it("that does not end in time has failed, and all its processes are gone", async () => {
      const pidFile = join(directory, "late");
      const { failed } = await outcomeOf(
        `it("hangs", () => { sleeper(); return new Promise(() => setInterval(() => {}, 1000)); });`,
        {
          pidFile,
          deadlineMs: 3_000,
        },
      );
      assert.deepEqual(failed, ["the file ran longer than 3 s"]);
      const pid = await pidIn(pidFile);
      await eventually("its end", () => !lives(pid));
    });

    it("ends at once with all its processes when the run is interrupted", async () => {
      const pidFile = join(directory, "interrupted");
      const stop = new AbortController();
      const outcome = outcomeOf(
        `it("hangs", () => { sleeper(); return new Promise(() => setInterval(() => {}, 1000)); });`,
        {
          pidFile,
          signal: stop.signal,
        },
      );
      const pid = await pidIn(pidFile);
      stop.abort();
      assert.ok((await outcome).failed.length > 0);
      await eventually("its end", () => !lives(pid));
    });
  });
}
