// What is in the way of the compiled program of an installed package is said in one sentence, on each runtime, as in a checkout.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { BUN_FLAGS } from "../../shared/runtime/tier-command.ts";
import type { Runtime } from "../../shared/runtime/which.ts";
import { type Command, runCommand } from "../support/hub/command.ts";
import { outputOf, pathWith } from "../support/package/installed.ts";
import { executableOf, RUNTIMES } from "../support/runtimes.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The package within a project. */
const PACKAGE = "node_modules/tidings";
const FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  node: [],
  deno: ["run", "--no-prompt", "--allow-env", "--allow-net", "--allow-run"],
  bun: BUN_FLAGS,
};

describe("the program of a package that cannot run", { timeout: 120_000 }, () => {
  let root = "";
  /** A project with the package and without what it depends on; another with both. */
  let [bare, whole] = ["", ""];
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "tidings-bin-"));
    [bare, whole] = [join(root, "bare"), join(root, "whole")];
    const compiled = join(bare, PACKAGE, "dist/package");
    await mkdir(compiled, { recursive: true });
    await outputOf(runCommand("tsc", ["-p", "tsconfig.package.json", "--outDir", compiled], { PATH: pathWith() }));
    await copyFile(join(ROOT, "package.json"), join(bare, PACKAGE, "package.json"));
    await mkdir(join(whole, "node_modules"), { recursive: true });
    await outputOf(runCommand("cp", ["-R", join(bare, PACKAGE), join(whole, PACKAGE)]));
    for (const name of await readdir(join(ROOT, "node_modules"))) {
      if (!name.startsWith(".")) await symlink(join(ROOT, "node_modules", name), join(whole, "node_modules", name));
    }
    for (const project of [bare, whole]) await writeFile(join(project, "package.json"), '{ "type": "module" }');
    const text = await readFile(join(compiled, "cli/run.js"), "utf8");
    const young = text.replace(/const OLDEST = .*/, "const OLDEST = { node: [24, 99], deno: [3, 0], bun: [1, 99] };");
    assert.notEqual(young, text);
    await mkdir(join(root, "young"));
    await writeFile(join(root, "young/package.json"), '{ "type": "module" }');
    await writeFile(join(root, "young/run.js"), young);
    await copyFile(join(compiled, "cli/bin.js"), join(root, "young/bin.js"));
  });
  after(() => rm(root, { recursive: true, force: true }));

  const bin = (project: string) => join(project, PACKAGE, "dist/package/cli/bin.js");
  function run(runtime: Runtime, flags: readonly string[], file: string, ...args: string[]): Command {
    return runCommand(executableOf(runtime), [...flags, file, ...args], {}, root);
  }

  for (const runtime of RUNTIMES) {
    it(`on a ${runtime} that is too old says which is needed`, async () => {
      const refused = run(runtime, FLAGS[runtime], join(root, "young/bin.js"), "start");
      assert.equal(await refused.ended, 1);
      assert.match(refused.errors(), /^tidings: (?:Node|Deno|Bun) [\d.]+ is too old: \d+\.\d+ or newer is needed\n$/);
    });

    it(`on ${runtime} without what it depends on says to install it again, not to run npm ci in node_modules`, async () => {
      for (const command of ["start", "core", "listen"]) {
        const refused = run(runtime, FLAGS[runtime], bin(bare), command);
        assert.equal(await refused.ended, 1);
        assert.match(refused.errors(), /^tidings: A package is not installed, install tidings again: [^\n]+\n$/);
        assert.equal(refused.output(), "");
      }
    });
  }

  it("does not take a package that is there, but fails, for one that is missing", async () => {
    const [project, text] = [join(root, "failing"), "no file in node_modules can be read"];
    await outputOf(runCommand("cp", ["-R", whole, project]));
    const dependency = join(project, "node_modules/fastest-levenshtein");
    await rm(dependency);
    await mkdir(dependency);
    const manifest = { name: "fastest-levenshtein", type: "module", exports: "./mod.js" };
    await writeFile(join(dependency, "package.json"), JSON.stringify(manifest));
    const source = `export const [closest, distance] = [0, 0]; throw new Error(${JSON.stringify(text)});`;
    await writeFile(join(dependency, "mod.js"), source);
    for (const runtime of RUNTIMES) {
      const ended = run(runtime, FLAGS[runtime], bin(project), "start");
      assert.equal(await ended.ended, 1);
      assert.ok(ended.errors().includes(text), ended.errors());
      assert.ok(!ended.errors().includes("is not installed"), ended.errors());
    }
  });

  it("on Deno without one of its permissions names the flag", async () => {
    const cases: [flags: string[], args: string[], flag: string][] = [
      [["--allow-net", "--allow-run"], ["start"], "--allow-env"],
      [["--allow-net", "--allow-run"], ["core"], "--allow-env"],
      [["--allow-env", "--allow-net"], ["start"], "--allow-run"],
      [["--allow-env", "--allow-net"], ["edge"], "--allow-run"],
      [["--allow-env"], ["listen", "--port", "0", "t"], "--allow-net"],
    ];
    for (const [flags, args, flag] of cases) {
      const refused = run("deno", ["run", "--no-prompt", ...flags], bin(whole), ...args);
      assert.equal(await refused.ended, 1, flag);
      assert.match(
        refused.errors(),
        new RegExp(`^[a-z ]+: [^\n]* ${flag}\\b[^\n]*\n$`),
        `${args.join(" ")} without ${flag}`,
      );
    }
  });
});
