import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { describe, it } from "node:test";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../../../shared/runtime/node-flags.ts";

describe("the flags of the tiers' processes", () => {
  it("are the same for npm start and for one tier alone", async () => {
    const { scripts } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8")) as {
      scripts: Record<string, string>;
    };
    const cache = NODE_ENVIRONMENT["NODE_COMPILE_CACHE"]!;
    for (const tier of ["edge", "core"]) {
      assert.equal(
        scripts[`start:${tier}`],
        `NODE_COMPILE_CACHE=${relative(process.cwd(), cache)} exec node ${NODE_FLAGS.join(" ")} ${tier}/main.ts`,
      );
    }
  });
});
