// What is in the way of a program is said in one sentence, on each runtime (ARCHITECTURE §1).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { BUN_FLAGS, tierCommand, tierEnvironment } from "../../shared/runtime/tier-command.ts";
import type { Runtime } from "../../shared/runtime/which.ts";
import { readTree } from "../support/architecture.ts";
import { executableOf, RUNTIMES } from "../support/runtimes.ts";

const ROOT = new URL("../../", import.meta.url);
const FLAGS: Readonly<Record<Runtime, readonly string[]>> = { node: [], deno: ["run", "--no-prompt"], bun: BUN_FLAGS };

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function ended(command: string, args: readonly string[], settings: Record<string, string> = {}): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_"));
  const child = spawn(command, args, {
    env: tierEnvironment({ ...Object.fromEntries(inherited), ...settings }, "deno"),
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (part) => void (stdout += String(part)));
  child.stderr.on("data", (part) => void (stderr += String(part)));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

describe("a program that cannot run", () => {
  let root = "";
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "tidings-run-"));
    for (const name of ["cli", "client", "core", "edge", "shared", "deno.json", "package.json"]) {
      await cp(new URL(name, ROOT), join(root, name), { recursive: true });
    }
    const text = await readFile(join(root, "cli/run.js"), "utf8");
    const young = text.replace(/const OLDEST = .*/, "const OLDEST = { node: [24, 99], deno: [3, 0], bun: [1, 99] };");
    await writeFile(join(root, "cli/young.js"), young);
  });
  after(() => rm(root, { recursive: true, force: true }));

  for (const runtime of RUNTIMES) {
    const run = (script: string, ...args: string[]) =>
      ended(executableOf(runtime), [...FLAGS[runtime], script, ...args]);

    it(`on a ${runtime} that is too old says which is needed`, async () => {
      const { code, stdout, stderr } = await run(join(root, "cli/young.js"), "tidings", "start");
      assert.match(stderr, /^tidings: (?:Node|Deno|Bun) [\d.]+ is too old: \d+\.\d+ or newer is needed\n$/);
      assert.equal(code, 1);
      assert.equal(stdout, "");
    });

    it(`on ${runtime} without its packages says what to run`, async () => {
      for (const program of [["tidings", "start"], ["core"], ["edge"]]) {
        const { code, stderr } = await run(join(root, "cli/run.js"), ...program);
        const own = runtime === "node" ? "" : `, or ${runtime} install,`;
        assert.ok(stderr.startsWith(`tidings: A package is not installed, run npm ci${own} in ${root}/: `), stderr);
        assert.match(stderr, /^[^\n]+\n$/);
        assert.equal(code, 1);
      }
    });

    it(`on ${runtime} says which names there are`, async () => {
      for (const name of ["cores", "toString"]) {
        const { code, stderr } = await run(fileURLToPath(new URL("cli/run.js", ROOT)), name);
        assert.equal(stderr, `tidings: "${name}" cannot be run; what can be run: core, edge, keys, tidings\n`);
        assert.equal(code, 1);
      }
    });
  }

  it("on Deno without one of its permissions names the flag", async () => {
    const settings = {
      TIDINGS_CORE_LISTEN: "127.0.0.1:0",
      TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
      TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_LOG_LEVEL: "warning",
    };
    for (const program of ["core", "edge"] as const) {
      const argumentsIn = (directory: string) =>
        tierCommand(program, { TIDINGS_DATA_DIR: directory }, { on: "deno" }).slice(1);
      const flags = argumentsIn(root).filter((word) => word.startsWith("--allow-")).map((word) => word.split("=")[0]!);
      assert.ok(flags.length >= 4);
      for (const flag of flags) {
        // Each needs to make its keys anew.
        const directory = join(root, `${program}${flag}`);
        const { code, stderr } = await ended(
          executableOf("deno"),
          argumentsIn(directory).filter((word) => !word.startsWith(flag)),
          { ...settings, TIDINGS_DATA_DIR: directory },
        );
        assert.match(
          stderr,
          new RegExp(`^tidings[^\n]* run again with the ${flag} flag\n$`),
          `${program} without ${flag}`,
        );
        assert.equal(code, 1);
      }
    }
  });

  const deno = (permissions: readonly string[], ...words: string[]) =>
    ended(executableOf("deno"), [
      "run",
      "--no-prompt",
      ...permissions,
      fileURLToPath(new URL("cli/run.js", ROOT)),
      ...words,
    ]);

  for (const [command, who] of [["start", "tidings"], ["core", "tidings core"], ["edge", "tidings edge"]] as const) {
    it(`on Deno with names of the environment alone does not launch: ${command}`, async () => {
      const { code, stderr } = await deno(["--allow-env=TIDINGS_*", "--allow-net", "--allow-run"], "tidings", command);
      const sentence = "A launcher hands the whole environment on, so Deno needs --allow-env, without names";
      assert.equal(stderr, `${who}: ${sentence}\n`);
      assert.equal(code, 1);
    });
  }

  for (const words of [["start"], ["core"], ["edge"], ["start", "--rotate-keys"]]) {
    it(`on Deno that may run nothing names the flag: ${words.join(" ")}`, async () => {
      const { code, stdout, stderr } = await deno(["--allow-env", "--allow-net"], "tidings", ...words);
      assert.match(stderr, /^tidings: the (?:core|edge|program keys) could not be run: [^\n]* the --allow-run flag\n$/);
      assert.equal(code, 1);
      assert.equal(stdout, "");
    });
  }

  it("is not so for want of syntax that the oldest Node lacks", async () => {
    const product = [...(await readTree()).keys()].filter((path) => /^(?:cli|client|core|edge|shared)\//.test(path));
    assert.ok(product.length > 100);
    for (const path of product) {
      assert.doesNotMatch(await readFile(new URL(path, ROOT), "utf8"), /^\s*(?:await )?using \w+ =/m, path);
    }
  });
});
