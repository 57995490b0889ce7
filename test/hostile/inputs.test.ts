// Every parser of outside input takes time in proportion to its input, and little of it: no stranger's request, and no answer of a callback,
// topic server, name server or issuer holds up anybody else. What is parsed stands in inputs.ts.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { ratiosOf, timeOf } from "../support/cpu-time.ts";
import { INPUTS, NOT_OUTSIDE, UNITS } from "./inputs.ts";
import { type Input, textOf } from "./inputs/input.ts";

/** The longest text: a form (64 KiB). No header, URL or head of an answer is longer. */
const LONGEST = 65_536;
/** How the texts of a comparison grow: by two doublings each. */
const GROWTH = [LONGEST / 16, LONGEST / 4, LONGEST];
/**
 * Twice the text may take so much more time: more than twice as much, as the collector comes by, and less than the four times of a square. A
 * single doubling may meet a step of the engine (a larger kind of memory, a table that grows), so the mean of four counts. Bun's own JSON
 * parser takes 2.6 times for brackets in brackets.
 */
const MOST_PER_DOUBLING = "bun" in process.versions ? 3 : 2.5;
const DOUBLINGS = 4;
/** Texts of any kind grow this way, so that a parser which is slow shows it before it takes minutes. */
const LENGTHS = [64, 256, 1_024, LONGEST / 4];

/** ms for a quarter of 64 KiB, so that no input holds the event loop for 20 ms. */
const MOST_MS = 5;

/** Returns a text that takes longer than MOST_MS in every try, or undefined. */
async function tooSlow({ run }: Input, unit: string, around: readonly [string, string]): Promise<string | undefined> {
  for (const length of LENGTHS) {
    const text = textOf(unit, around, length);
    let least = Infinity;
    for (let tries = 0; tries < 10 && least > MOST_MS; tries++) {
      least = Math.min(least, await timeOf(() => run(text)));
      // The first try of all may load what the others use.
      if (tries > 0 && least > 10 * MOST_MS) break;
    }
    if (least > MOST_MS) return `${JSON.stringify([around, unit])}, ${length} long: ${least.toFixed(0)} ms`;
  }
  return undefined;
}

/** A text whose time grows out of proportion, in words; undefined if it does not. */
async function tooSteep({ run }: Input, unit: string, around: readonly [string, string]): Promise<string | undefined> {
  const texts = GROWTH.map((length) => textOf(unit, around, length));
  const most = MOST_PER_DOUBLING ** DOUBLINGS;
  const ratios = await ratiosOf(texts.map((text) => () => run(text)), most);
  if (ratios.at(-1)! <= most) return undefined;
  return `${JSON.stringify([around, unit])}: ${ratios.map((ratio) => ratio.toFixed(1)).join(", ")} times as long`;
}

const ROOT = new URL("../../", import.meta.url);

async function sources(): Promise<string[]> {
  const found = await Promise.all(["edge", "core", "shared", "client", "cli"].map(async (folder) => {
    const names = await readdir(new URL(folder, ROOT), { recursive: true });
    return names.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
  }));
  return found.flat();
}

describe("outside inputs", { timeout: 120_000 }, () => {
  for (const input of INPUTS) {
    it(`${input.path}: ${input.what}`, async () => {
      const wrong: (string | undefined)[] = [];
      for (const around of input.around) {
        for (const unit of new Set([...input.worst, ...UNITS])) wrong.push(await tooSlow(input, unit, around));
        // A text that is too slow at 16 KiB may take hours at 64.
        if (wrong.some((one) => one !== undefined)) break;
        for (const unit of input.worst) wrong.push(await tooSteep(input, unit, around));
      }
      assert.deepEqual(wrong.filter((one) => one !== undefined), []);
    });
  }

  it("all parsers stand in the registry", async () => {
    const listed = new Set(INPUTS.map(({ path }) => path));
    const missing: string[] = [];
    const outside: string[] = [];
    for (const path of await sources()) {
      const source = await readFile(new URL(path, ROOT), "utf8");
      const parses = path.startsWith("edge/syntax/") ||
        /^export (?:async )?function (?:parse|decode|read(?:Answer|Ticket))\w*\(/m.test(source);
      if (parses && !listed.has(path)) (Object.hasOwn(NOT_OUTSIDE, path) ? outside : missing).push(path);
      listed.delete(path);
    }
    assert.deepEqual(missing, [], "parsers that are not in test/hostile/inputs.ts");
    assert.deepEqual([...listed], [], "files that are in the registry and nowhere else");
    assert.deepEqual(Object.keys(NOT_OUTSIDE).filter((path) => !outside.includes(path)), [], "reasons for nothing");
  });
});
