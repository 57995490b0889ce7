import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { CAPABILITIES } from "../../../shared/runtime/capabilities.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { capabilities } from "../../../shared/runtime/process.ts";
import { NO_OUTBOUND } from "../../../shared/runtime/workerd/outbound.ts";
import { runtime } from "../../../shared/runtime/which.ts";

const DOCUMENT = new URL("../../../docs/runtimes.md", import.meta.url);

/** The rows of the table under a heading, without its head. */
function tableUnder(heading: string, text: string): string[][] {
  const section = text.split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!;
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim())).filter(([, cell]) =>
    cell !== "---"
  );
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ") || "none";
  return value === true ? "yes" : "no";
}

describe("capabilities", () => {
  it("are those of the runtime that runs this, with its version", () => {
    const { version, ...known } = capabilities();
    assert.deepEqual(known, { ...CAPABILITIES[runtime()], listsEnvironment: true });
    assert.match(version, /^\d+\.\d+\.\d+/);
  });

  it("say of pinning what the outbound port says, by which an edge verifies or leaves it (A3.6)", async () => {
    const outbound = createOutbound({ guard: createOutboundGuard([]), userAgent: "test" });
    assert.equal(outbound.supports.pinning, capabilities().pinning);
    assert.equal(NO_OUTBOUND.supports.pinning, CAPABILITIES.workerd.pinning);
    assert.equal(NO_OUTBOUND.supports.pinning, false);
    await outbound.close();
  });

  it("stand in docs/runtimes.md as they are, each with what follows from it", async () => {
    const text = await readFile(DOCUMENT, "utf8");
    const { name: _, ...names } = CAPABILITIES.node;
    const runtimes = Object.values(CAPABILITIES);
    const table = [
      ["capability", ...runtimes.map(({ name }) => name)],
      ...Object.keys(names).map((key) => [
        `\`${key}\``,
        ...runtimes.map((runtime) => shown(runtime[key as keyof typeof names])),
      ]),
    ];
    assert.deepEqual(tableUnder("What each can do", text), table);
    const followed = tableUnder("What follows from each", text).map(([capability]) => capability);
    assert.deepEqual(followed, table.map(([capability]) => capability));
  });
});
