// The scripts of package.json and the tasks of deno.json start what the launcher starts, in the same way.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../../../shared/runtime/node-flags.ts";
import { BUN_FLAGS } from "../../../shared/runtime/tier-command.ts";
import { packageScripts } from "../../support/hub/launcher-command.ts";

const ROOT = new URL("../../../", import.meta.url);
const RUN = "cli/run.js";

describe("the scripts that start something", () => {
  const scripts = packageScripts();

  it("on Node have the flags of a tier that is launched, once the version is known to be new enough", () => {
    const cache = relative(fileURLToPath(ROOT), NODE_ENVIRONMENT["NODE_COMPILE_CACHE"]!);
    for (const tier of ["edge", "core"]) {
      assert.equal(
        scripts[`start:${tier}`],
        `node ${RUN} && NODE_COMPILE_CACHE=${cache} exec node ${NODE_FLAGS.join(" ")} ${RUN} ${tier}`,
      );
    }
  });

  it("on Bun have the flags of a tier that is launched", () => {
    const programs = {
      "start:bun": "tidings start",
      "start:bun:core": "core",
      "start:bun:edge": "edge",
      "listen:bun": "tidings listen",
    };
    for (const [script, program] of Object.entries(programs)) {
      assert.equal(scripts[script], `exec bun ${BUN_FLAGS.join(" ")} ${RUN} ${program}`);
    }
  });

  it("on Deno give permissions by name, in scripts as in tasks, and to run Deno alone", async () => {
    const { tasks } = JSON.parse(await readFile(new URL("deno.json", ROOT), "utf8")) as {
      readonly tasks: Record<string, string>;
    };
    const launcher = `"$deno" run --no-prompt --no-check --allow-env --allow-net --allow-run="$deno" ${RUN} tidings`;
    for (const [tier, rest] of [["", " start"], [":core", " core"], [":edge", " edge"]] as const) {
      assert.ok(scripts[`start:deno${tier}`]!.endsWith(` exec ${launcher}${rest}`));
      assert.ok(tasks[`start${tier}`]!.endsWith(` ${launcher}${rest}`));
    }
    const listen = `deno run --no-prompt --no-check --allow-env --allow-net ${RUN} tidings listen`;
    assert.equal(scripts["listen:deno"], `exec ${listen}`);
    assert.equal(tasks["listen"], `env ${listen}`);
  });

  it("refuse the versions that package.json refuses", async () => {
    const { engines } = JSON.parse(await readFile(new URL("package.json", ROOT), "utf8")) as {
      readonly engines: Record<string, string>;
    };
    const text = await readFile(new URL(RUN, ROOT), "utf8");
    const oldest = /const OLDEST = \{ (.*) \};/.exec(text)![1]!;
    const written = Object.entries(engines).map(([name, range]) => {
      return `${name}: [${range.replace(">=", "").replace(".", ", ")}]`;
    });
    assert.equal(oldest, written.join(", "));
  });
});
