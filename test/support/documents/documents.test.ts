// The documents' rules, each seen to fail: small made-up documents, and one thing wrong in each.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { citationsIn, deadCitations, targetsOf, titlesIn, unnamedRules } from "./citations.ts";
import {
  commandsIn,
  normalForm,
  optionsIn,
  type Project,
  unrunCommands,
  wrongInCommand,
  wrongInSpan,
} from "./commands.ts";
import { parseDocument } from "./markdown.ts";
import { deadFilesInComments, deadLinks, deadPaths, unknownNames, wrongRooms } from "./places.ts";

const ARCHITECTURE = parseDocument(
  "docs/ARCHITECTURE.md",
  "# A\n\n## 1. Tiers\n\n### Rooms\n\n| room | holds |\n| --- | --- |\n| `core` | a |\n| `core/log` | b |\n\n## 6. Always\n\n" +
    "1. One\n2. Two\n\n- **A3.4 Sleepers** do not send.\n",
);
const WIRE = parseDocument("docs/WIRE.md", "# W\n\n## 2. Subscribing\n");
const CONFORMANCE = parseDocument(
  "docs/CONFORMANCE.md",
  "# C\n\n## 1. Rows\n\n| # | Lvl | § | Requirement |\n| --- | --- | --- | --- |\n| H1 | MUST | 5.1, 5.3.1 | a |\n" +
    "| H45 | MUST | 0.3 §7.1, 6 note | b |\n",
);
const TARGETS = targetsOf(ARCHITECTURE, WIRE, CONFORMANCE);

describe("citations", () => {
  it("have their targets in the three documents", () => {
    assert.deepEqual([...TARGETS.rule], ["A3.4"]);
    assert.deepEqual([...TARGETS.row], ["H1", "H45"]);
    assert.deepEqual([...TARGETS.property], ["6.1", "6.2"]);
    assert.deepEqual([...TARGETS.specification], ["5.1", "5.3.1", "6"]);
    assert.deepEqual([...TARGETS.ARCHITECTURE], ["1", "6"]);
    const alive =
      "A3.4 H1 §5.1, §5.3.1; ARCHITECTURE §1, §6.2 (§6.1) WIRE §2 CONFORMANCE §1 RFC 9110 §15.2, §3 KIP-98 §4 0.3 §7.1";
    assert.deepEqual(deadCitations("a.ts", alive, TARGETS), []);
  });

  it("go on after a document's name, also over the lines of a comment, and no further", () => {
    const names = (text: string) => citationsIn(text).map(({ place, name }) => `${place} ${name}`);
    assert.deepEqual(names("(WIRE §2, §3 and §4)"), ["WIRE 2", "WIRE 3", "WIRE 4"]);
    assert.deepEqual(names("// as WIRE §2,\n  // §3 say"), ["WIRE 2", "WIRE 3"]);
    assert.deepEqual(names("WIRE §2 says it, and §5.1 too"), ["WIRE 2", "specification 5.1"]);
    assert.deepEqual(names("ARCHITECTURE §6.7, A3.4"), ["property 6.7", "rule A3.4"]);
  });

  for (
    const [what, text] of [
      ["a rule", "// A3.9: nothing"],
      ["a row", "it('H2 §5.1', f)"],
      ["a section of the architecture", "// ARCHITECTURE §2"],
      ["a section of the contract", "// WIRE §9"],
      ["a section of the conformance rows", "// CONFORMANCE §2"],
      ["a section of the specification", "// §5.2"],
      ["a property", "// §6.3"],
    ] as const
  ) {
    it(`to ${what} that is not there are found, with their line`, () => {
      const found = deadCitations("a.ts", `\n\n${text}`, TARGETS);
      assert.equal(found.length, 1);
      assert.match(found[0]!, /^a\.ts:3 cites /);
    });
  }

  it("in titles name rules and rows; one that no title names is found, and an exception that is none", () => {
    const titles = titlesIn(
      "a.test.ts",
      'describe("A3.4 a", () => { row(rig, `H1 ${b}`, f); wire("H45", f); other("H9", f); it(H2, f); });',
    );
    assert.deepEqual(titles, ["A3.4 a", "H1 …", "H45"]);
    assert.deepEqual(unnamedRules(TARGETS, titles, {}), []);
    assert.deepEqual(unnamedRules(TARGETS, ["H1"], { H45: "why" }), ["No test is named after A3.4"]);
    assert.match(unnamedRules(TARGETS, titles, { H45: "why" })[0]!, /it is no exception any more/);
    assert.match(unnamedRules(TARGETS, titles, { H99: "why" })[0]!, /neither a rule nor a row/);
  });
});

describe("links and names", () => {
  const files = new Set(["README.md", "docs", "docs/a.md", "core", "core/log", "core/log/log.ts"]);
  const links = (text: string) => {
    const other = parseDocument("docs/a.md", "# A heading: `code`, twice\n\n# A heading: `code`, twice\n");
    return deadLinks([parseDocument("README.md", text), other], files);
  };

  it("lead to files, folders and headings", () => {
    const text =
      "# Here\n[a](docs/a.md) [b](docs/a.md#a-heading-code-twice-1) [c](#here) [d](docs) [e](https://example.com/x)";
    assert.deepEqual(links(text), []);
  });

  for (
    const [what, text] of [
      ["no file", "[a](docs/b.md)"],
      ["no heading", "[a](docs/a.md#another)"],
      ["no heading of the same document", "[a](#here)"],
      ["no file, in a table", "| a |\n| --- |\n| [b](docs/b.md) |"],
      ["no file, by reference", "[a][b]\n\n[b]: docs/b.md"],
      ["no picture", "![a](docs/a.svg)"],
      ["no picture, as HTML", '<img src="docs/a.svg">'],
    ] as const
  ) it(`to ${what} are found`, () => assert.equal(links(text).length, 1));

  it("of files in code must be there", () => {
    assert.deepEqual(deadPaths(parseDocument("a.md", "`core/log/log.ts` `core/log/` `core/log/<name>/`"), files), []);
    assert.equal(deadPaths(parseDocument("a.md", "`core/log.ts`"), files).length, 1);
  });

  it("of files in comments must be there, by path or by name", () => {
    const dead = (source: string) => deadFilesInComments("a.ts", source, files);
    assert.deepEqual(
      dead("// as log.ts, log/log.ts, core/log/log.ts and README.md say\nf('x.ts'); /** {@link a.md} */"),
      [],
    );
    assert.deepEqual(dead("f();\n/** as logs.ts says */"), ["a.ts:2 names logs.ts, which is not there"]);
    assert.equal(dead("// edge/log.ts").length, 1);
  });

  it("of settings and metrics must be there", () => {
    const unknown = (text: string) =>
      unknownNames(parseDocument("a.md", text), new Set(["TIDINGS_A_B"]), new Set(["tidings_c_total"]));
    assert.deepEqual(unknown("`TIDINGS_A_B=1` `TIDINGS_A_*` tidings_c_total [x](#tidings_a_b)"), []);
    for (const text of ["TIDINGS_B", "`TIDINGS_B_*`", "`tidings_c`"]) assert.equal(unknown(text).length, 1, text);
  });

  it("of rooms must be in their order", () => {
    assert.deepEqual(wrongRooms(ARCHITECTURE, ["core", "core/log"]), []);
    for (const rooms of [["core"], ["core", "core/log", "edge"], ["core/log", "core"]]) {
      assert.equal(wrongRooms(ARCHITECTURE, rooms).length, 1);
    }
  });
});

describe("commands", () => {
  const PROJECT: Project = {
    scripts: { test: "tsc && exec node test/run.ts", bench: "node test/bench/bench.ts", lint: "oxlint" },
    files: new Set(["test/run.ts", "test/core/a.test.ts", "test/bench/bench.ts"]),
    optionsOf: () => new Map([["runs", "string"], ["kafka", "boolean"]]),
    wordsOf: () => new Set(["growth"]),
    settings: new Set(["TIDINGS_A"]),
    routes: new Set(["/hub"]),
  };
  const wrong = (text: string) => commandsIn(text).flatMap((command) => wrongInCommand(command, PROJECT));

  it("are taken apart as a shell does", () => {
    assert.deepEqual(commandsIn("a 'b c' \"d\" # no\nA=1 e && f & g \\\n h; i='j\nk'"), [
      ["a", "b c", "d"],
      ["A=1", "e"],
      ["f"],
      ["g", "h"],
      ["i=j\nk"],
    ]);
    assert.equal(normalForm(["A=1", "npm", "run", "x", "--", "--seeds", "12"]), "npm run x -- --seeds N");
  });

  it("that are right are right", () => {
    const text =
      "npm ci && npm run -s lint\nTIDINGS_A=1 npm run bench -- growth --runs 3 --kafka\nnpm test -- test/core/a\n" +
      "node --test test/core/*.test.ts\ncurl 'http://127.0.0.1:9191/hub?a=b'\nexport TIDINGS_A=2 B=3\n";
    assert.deepEqual(wrong(text), []);
  });

  for (
    const [what, text] of [
      ["script", "npm run nothing"],
      ["flag", "npm run bench -- --nothing"],
      ["word", "npm run bench -- nothing"],
      ["test", "npm test -- test/nothing"],
      ["file", "node test/nothing.ts"],
      ["file of a pattern", "node --test test/edge/*.test.ts"],
      ["setting", "TIDINGS_NOTHING=1 npm test"],
      ["address", "curl http://127.0.0.1:9191/nothing"],
      ["program", "nothing"],
    ] as const
  ) it(`that name a ${what} which is not there are found`, () => assert.equal(wrong(text).length, 1));

  it("within a line are looked at, too", () => {
    assert.deepEqual(wrongInSpan("GET /messages", PROJECT), []);
    assert.equal(wrongInSpan("TIDINGS_A=1 npm run nothing", PROJECT).length, 1);
  });

  it("take the options of `parseArgs`", () => {
    const source = 'parseArgs({ options: { runs: { type: "string" }, "dry-run": { type: "boolean" } } });';
    assert.deepEqual([...optionsIn("a.ts", source)], [["runs", "string"], ["dry-run", "boolean"]]);
  });

  it("must be run by a test, or be marked right above", () => {
    const unrun = (text: string) =>
      unrunCommands(parseDocument("a.md", text), { "npm test": "a", "npm run bench": "b" });
    const block = (text: string) => `\`\`\`sh\n${text}\n\`\`\`\n`;
    const mark = "<!-- needs your own values: a broker -->\n\n";
    assert.deepEqual(unrun(block("npm test\nnpm run bench -- growth --runs 3\nexport A=b")), []);
    assert.deepEqual(unrun(`${mark}${block("npm run demo")}\n\n\`npm run demo\``), []);
    for (
      const text of [
        block("npm run demo"),
        "`npm run demo`",
        `${mark}Something else.\n\n${block("npm run demo")}`,
        `<!-- needs your own values: -->\n\n${block("npm run demo")}`,
        block("npm tester"),
      ]
    ) assert.equal(unrun(text).length, 1, text);
  });
});
