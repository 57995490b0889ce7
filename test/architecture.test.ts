import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseModule, readTree, ROOMS, RULES, violations } from "./support/architecture.ts";

/** Violations of a small tree given as path → source. */
function judge(rule: keyof typeof RULES, sources: Record<string, string>): string[] {
  const modules = Object.entries(sources).map(([path, source]) => parseModule(path, source));
  return RULES[rule](new Map(modules.map((module) => [module.path, module])));
}

describe("the tree", async () => {
  const tree = await readTree();

  it("keeps every rule", () => {
    assert.ok(
      tree.size > 20 && [...tree.values()].some(({ imports }) => imports.length > 0),
      "files were found and read",
    );
    assert.deepEqual(violations(tree), []);
  });

  it("has a file in every room that has a place", () => {
    const folders = new Set([...tree.keys()].map((path) => path.slice(0, path.lastIndexOf("/"))));
    assert.deepEqual(Object.values(ROOMS).flat().filter((room) => !folders.has(room)), []);
  });
});

describe("the rule on arrows", () => {
  for (
    const [title, from, to] of [
      ["the edge may not import the core", "edge/a.ts", "core/b.ts"],
      ["the core may not import the edge", "core/a.ts", "edge/b.ts"],
      ["the client may import only what is shared", "client/a.ts", "edge/b.ts"],
      ["what is shared imports neither tier", "shared/a.ts", "core/b.ts"],
      ["nothing but tests imports tests", "core/a.ts", "test/support/b.ts"],
      ["only entries import the runtime's adapters", "core/a.ts", "shared/runtime/b.ts"],
      ["only core/open.ts imports a log adapter", "core/shards/a.ts", "core/log/libsql.ts"],
      ["only core/open.ts imports the Kafka adapter", "core/log/log.ts", "core/log/kafka/open.ts"],
    ] as const
  ) {
    it(title, () => {
      const specifier = `${"../".repeat(from.split("/").length - 1)}${to}`;
      assert.equal(judge("arrows", { [from]: `import { b } from "${specifier}";`, [to]: "" }).length, 1);
      assert.equal(judge("arrows", { [from]: `import type { B } from "${specifier}";`, [to]: "" }).length, 1);
      assert.equal(judge("arrows", { [from]: `const b = await import("${specifier}");`, [to]: "" }).length, 1);
      assert.equal(judge("arrows", { [from]: `type B = import("${specifier}").B;`, [to]: "" }).length, 1);
    });
  }

  it("allows what the architecture draws", () => {
    const allowed = {
      "edge/main.ts": `import "./a.ts"; import "../shared/a.ts"; import "../shared/runtime/a.ts";`,
      "edge/a.ts": `import "../shared/a.ts";`,
      "core/open.ts": `import "./log/libsql.ts"; import "./log/kafka/open.ts"; import "../shared/runtime/a.ts";`,
      "core/log/kafka/open.ts": `import "./reader.ts"; import "../log.ts";`,
      "core/log/kafka/reader.ts": "",
      "core/log/libsql.ts": "",
      "core/log/log.ts": "",
      "shared/a.ts": "",
      "shared/runtime/a.ts": "",
      "test/core/a.test.ts": `import "../../core/log/libsql.ts"; import "../../edge/a.ts";`,
    };
    assert.deepEqual(judge("arrows", allowed), []);
  });

  it("sees only what it can resolve, and says so", () => {
    assert.equal(
      judge("unresolved", { "core/a.ts": `import "./b.js"; import "@scope/b/c.js"; import "node:fs";` }).length,
      1,
    );
    assert.equal(judge("unresolved", { "core/a.ts": "const name = 'x'; await import(`./${name}.ts`);" }).length, 1);
  });
});

describe("the rule on rooms", () => {
  it("lets rooms import downwards only, values and types", () => {
    const files = {
      "core/log/log.ts": "",
      "core/log/libsql/a.ts": `import "../log.ts";`,
      "core/core.ts": `import "./log/log.ts";`,
    };
    assert.deepEqual(judge("rooms", files), []);
    for (const statement of ["import", "import type { A } from"]) {
      const up = { ...files, "core/log/log.ts": `${statement} "./libsql/a.ts";` };
      assert.deepEqual(judge("rooms", up), [
        "core/log/log.ts imports core/log/libsql/a.ts: rooms import downwards, and core/log/libsql is above core/log",
      ]);
    }
    assert.equal(judge("rooms", { "edge/hub/a.ts": `import "../main.ts";`, "edge/main.ts": "" }).length, 1);
  });

  it("gives every folder a place", () => {
    assert.deepEqual(judge("rooms", { "core/attic/a.ts": "", "core/attic/b.ts": "", "test/anywhere/a.ts": "" }), [
      "core/attic has no place among the rooms of its tier (test/support/architecture.ts)",
    ]);
  });
});

describe("the rule on pairs", () => {
  const files = {
    "core/log/log.ts": "",
    "core/log/entry.ts": `import "../keys/key.ts";`,
    "core/keys/key.ts": "",
    "core/keys/ring.ts": `import "../log/log.ts";`,
  };

  it("finds two folders that import each other, though no two files do, values and types", () => {
    const found = [
      "core/keys and core/log import each other: core/keys/ring.ts imports core/log/log.ts, and core/log/entry.ts imports core/keys/key.ts",
    ];
    assert.deepEqual(judge("cycles", files), []);
    assert.deepEqual(judge("pairs", files), found);
    assert.deepEqual(
      judge("pairs", { ...files, "core/keys/ring.ts": `import type { A } from "../log/log.ts";` }),
      found,
    );
  });

  it("finds a folder and the one it stands in, also among tests", () => {
    const inside = {
      "test/support/a.ts": `import "./hub/b.ts";`,
      "test/support/hub/b.ts": `import "../c.ts";`,
      "test/support/c.ts": "",
    };
    assert.equal(judge("pairs", inside).length, 1);
  });

  it("lets imports go one way", () => {
    assert.deepEqual(judge("pairs", { ...files, "core/log/entry.ts": `import "./log.ts";` }), []);
  });
});

describe("the rule on cycles", () => {
  it("finds one of values, of types, and a file that imports itself", () => {
    const cycle = (statement: string) => ({
      "core/a.ts": `${statement} "./b.ts";`,
      "core/b.ts": `import "./c.ts";`,
      "core/c.ts": `${statement} "./a.ts";`,
    });
    assert.deepEqual(judge("cycles", cycle("import")), ["a cycle: core/a.ts → core/b.ts → core/c.ts → core/a.ts"]);
    assert.equal(judge("cycles", cycle("import type { A } from")).length, 1);
    assert.equal(judge("cycles", { "core/a.ts": `import "./a.ts";` }).length, 1);
  });

  it("lets two ways lead to one file", () => {
    assert.deepEqual(
      judge("cycles", { "a.ts": `import "./b.ts"; import "./c.ts";`, "b.ts": `import "./c.ts";`, "c.ts": "" }),
      [],
    );
  });
});

describe("the rule on undici", () => {
  it("lets one file import it, and that by its file's name", () => {
    assert.deepEqual(judge("undici", { "shared/undici.ts": `import { Pool } from "undici/index.js";` }), []);
    assert.equal(judge("undici", { "core/a.ts": `import { Pool } from "undici";` }).length, 1);
    assert.equal(judge("undici", { "shared/undici.ts": `import { Pool } from "undici";` }).length, 1);
  });
});

describe("the rule on fetch", () => {
  it("refuses a call of the global one, but not of one that is imported or a method", () => {
    assert.equal(judge("fetch", { "core/a.ts": `const a = await fetch("http://a/");` }).length, 1);
    assert.equal(judge("fetch", { "core/a.ts": `const a = await globalThis.fetch("http://a/");` }).length, 1);
    assert.deepEqual(judge("fetch", { "core/a.ts": `import { fetch } from "./b.ts"; fetch(); a.fetch();` }), []);
    assert.deepEqual(judge("fetch", { "test/a.ts": `await fetch("http://a/");` }), []);
  });
});

describe("the rule on runtime names", () => {
  for (
    const source of [
      "process.exit(1);",
      "const { env } = process;",
      "const runtime = { process };",
      "Deno.serve(() => {});",
      "const has = typeof Bun;",
      "type Server = Bun.Server;",
      "globalThis.Deno.exit();",
      'globalThis["process"];',
      'import { serve } from "bun";',
      'import { Database } from "bun:sqlite";',
      'import { env } from "node:process";',
      'import { env } from "process";',
    ]
  ) {
    it(`refuses ${source}`, () => {
      for (const folder of ["edge", "core", "client", "shared"]) {
        assert.equal(judge("runtimeNames", { [`${folder}/a.ts`]: source }).length, 1, folder);
      }
      assert.deepEqual(judge("runtimeNames", { "shared/runtime/a.ts": source, "test/a.ts": source }), []);
    });
  }

  it("lets properties and comments have these names", () => {
    const source =
      `/* process.env */ const a = { process: 1, Deno: "Bun" }; a.process; class B { process() {} }; interface C { Bun: 1 }`;
    assert.deepEqual(judge("runtimeNames", { "core/a.ts": source }), []);
  });
});

describe("the rule on the edge's path", () => {
  it("refuses a node: import, also of types and however far away", () => {
    const tree = {
      "edge/a.ts": `import "../shared/b.ts";`,
      "shared/b.ts": `import "./c.ts";`,
      "shared/c.ts": `import type { A } from "node:net";`,
    };
    assert.deepEqual(judge("edgePath", tree), [
      "edge/a.ts → shared/b.ts → shared/c.ts imports node:net: not on the edge's path",
    ]);
    assert.equal(judge("edgePath", { "edge/a.ts": `import "crypto";` }).length, 1);
    assert.equal(judge("edgePath", { "edge/a.ts": `import "undici";` }).length, 1);
  });

  it("refuses a node: import of a Worker's adapters, too, and lets the Worker alone import workerd's own module", () => {
    const tree = {
      "edge/worker.ts": `import "cloudflare:workers"; import "../shared/runtime/workerd/a.ts";`,
      "shared/runtime/workerd/a.ts": `import "../b.ts";`,
      "shared/runtime/b.ts": `import "node:fs";`,
      "edge/c.ts": `import "cloudflare:workers";`,
    };
    assert.deepEqual(judge("edgePath", tree), [
      "edge/c.ts imports cloudflare:workers: not on the edge's path",
      "edge/worker.ts → shared/runtime/workerd/a.ts → shared/runtime/b.ts imports node:fs: not on the edge's path",
    ]);
  });

  it("leaves main.ts, the runtime's adapters and the core alone", () => {
    const tree = {
      "edge/main.ts": `import "../shared/runtime/a.ts"; import "node:fs";`,
      "shared/runtime/a.ts": `import "node:fs";`,
      "core/a.ts": `import "node:crypto";`,
      "edge/b.ts": `import { Hono } from "hono"; import "hono/cors";`,
    };
    assert.deepEqual(judge("edgePath", tree), []);
  });
});

describe("the rule on functions", () => {
  /** A function's body of so many lines, with those of its braces. */
  const body = (lines: number) => `{\n${"a();\n".repeat(lines - 2)}}`;

  for (
    const [kind, source] of [
      ["declaration", (body: string) => `export async function long() ${body}`],
      ["arrow", (body: string) => `const long = () => ${body}`],
      ["function expression", (body: string) => `const other = { long: function () ${body} }`],
      ["method of an object", (body: string) => `const other = { async long() ${body} }`],
      ["method", (body: string) => `class A { long() ${body} }`],
      ["private method", (body: string) => `class A { #long() ${body} }`],
      ["accessor", (body: string) => `class A { get long() ${body} }`],
      ["field", (body: string) => `class A { readonly long = () => ${body} }`],
      ["closure", (body: string) => `const short = () => run(function long() ${body})`],
    ] as const
  ) {
    it(`lets a ${kind} have 100 lines, and no more`, () => {
      for (const folder of ["edge", "core", "shared", "client"]) {
        assert.deepEqual(judge("functions", { [`${folder}/a.ts`]: `\n${source(body(100))}` }), []);
        assert.deepEqual(
          judge("functions", { [`${folder}/a.ts`]: `\n${source(body(101))}` })
            .filter((found) => found.includes(" long has ")),
          [`${folder}/a.ts:2: long has 101 lines, at most 100 may be: cut it by idea`],
        );
      }
    });
  }

  it("counts a function that stands around others, and those that have no name", () => {
    const found = judge("functions", {
      "core/a.ts": `run(() => ${body(200).replace("a();", `run(() => ${body(150)});`)})`,
    });
    assert.deepEqual(found.map((one) => one.slice(0, 35)), [
      "core/a.ts:1: a function has 349 lin",
      "core/a.ts:2: a function has 150 lin",
    ]);
  });

  it("leaves tests alone", () => {
    assert.deepEqual(judge("functions", { "test/a.ts": `function long() ${body(300)}` }), []);
  });
});

describe("the rule on names", () => {
  it("refuses names that say nothing, and barrels", () => {
    assert.equal(judge("names", { "core/utils.ts": "", "edge/types/a.ts": "", "core/state.ts": "" }).length, 2);
    assert.equal(
      judge("names", { "core/a.ts": `export * from "./b.ts";`, "core/b.ts": `export type { C } from "./c.ts";` })
        .length,
      2,
    );
  });
});
