// Which files run for which target, what counts as skipped, and the table.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { readTree } from "../architecture.ts";
import { whyNoRegistry } from "../package/registry.ts";
import { ALL_RUNTIMES } from "../runtimes.ts";
import { EXCEPTIONS, planOf, testFiles } from "./plan.ts";
import { operationsTable } from "./operations.ts";
import { REQUIRED, requiredButSkipped } from "./required.ts";
import { table, tallyOf } from "./tally.ts";
import { environmentOf, TARGETS } from "./targets.ts";

describe("what runs for a target", async () => {
  const tree = await readTree();
  const files = testFiles(tree, []);

  it("is every test file that no exception names, and each file for one target at least", () => {
    assert.ok(files.length > 150);
    for (const target of ALL_RUNTIMES) {
      const { inside, against } = planOf(tree, files, target, {});
      const left = files.filter((path) => EXCEPTIONS.some(({ at, on }) => path.startsWith(at) && on.includes(target)));
      assert.deepEqual([...inside, ...against, ...left].toSorted(), files.toSorted(), target);
      assert.ok(against.includes("test/conformance/embedded.test.ts"));
      assert.ok(inside.includes("test/core/log/libsql.test.ts"));
    }
    const run = new Set(TARGETS.flatMap((target) => Object.values(planOf(tree, files, target, {})).flat()));
    assert.deepEqual(files.filter((path) => !run.has(path)), []);
  });

  it("is left out only where there is a file and a reason", () => {
    for (const { at, why } of EXCEPTIONS) {
      assert.ok(files.some((path) => path.startsWith(at)), at);
      assert.ok(why.length > 20, at);
    }
  });

  it("is more if the user names files that are for the hand", () => {
    const named = testFiles(tree, ["test/conformance/kafka.test.ts"]);
    assert.deepEqual(planOf(tree, named, "deno", {}), { inside: [], against: [] });
    assert.deepEqual(planOf(tree, named, "deno", { named: true }).against, named);
  });

  it("is the conformance suite, the Worker's own and the hostile files where the edge is a Worker", () => {
    const { inside, against } = planOf(tree, files, "worker", {});
    assert.ok(inside.every((path) => path.startsWith("test/edge/worker/")), inside.join());
    for (
      const path of ["test/conformance/embedded.test.ts", "test/conformance/token.test.ts", "test/hostile/hub.test.ts"]
    ) {
      assert.ok(against.includes(path), path);
    }
    assert.ok(against.every((path) => /^test\/(?:conformance|demo|hostile|edge\/worker)\//.test(path)), against.join());
    const { TIDINGS_TEST_CORE_RUNTIME: core, TIDINGS_TEST_EDGE_RUNTIME: edge } = environmentOf("worker");
    assert.deepEqual([core, edge], ["node", "workerd"]);
  });

  it("is only what opens nothing while one works, and the rules on the tree", () => {
    const { inside, against } = planOf(tree, files, "node", { check: true });
    assert.deepEqual(against, []);
    for (const path of ["test/architecture.test.ts", "test/shared/trace.test.ts"]) {
      assert.ok(inside.includes(path), path);
    }
    for (const path of ["test/core/log/libsql.test.ts", "test/edge/edge.test.ts"]) {
      assert.ok(!inside.includes(path), path);
    }
  });
});

describe("a test that was skipped", () => {
  const skipped = [
    { test: "the log on Kafka, when its broker fails", why: "" },
    { test: "a small disk", why: "it may not mount a small tmpfs" },
    { test: "rows", why: "there is no workerd for this machine" },
    { test: "third-party client Flask", why: "there is no python3 on the PATH" },
    { test: "the images", why: whyNoRegistry(new Error("npm error code ENOTFOUND")) },
    { test: "has nothing that a linter complains of", why: "cannot get hadolint with python3 and pip" },
  ];

  it("is a failure where what it lacks is required", () => {
    assert.deepEqual(requiredButSkipped(skipped, {}), []);
    assert.deepEqual(requiredButSkipped(skipped, { REQUIRE_KAFKA: "1" }), [
      "the log on Kafka, when its broker fails was skipped, and REQUIRE_KAFKA=1",
    ]);
    assert.deepEqual(requiredButSkipped(skipped, { REQUIRE_KAFKA: "0", REQUIRE_RUNTIMES: "1" }), [
      "rows was skipped (there is no workerd for this machine), and REQUIRE_RUNTIMES=1",
    ]);
    const all = Object.fromEntries(Object.keys(REQUIRED).map((name) => [name, "1"]));
    assert.equal(requiredButSkipped(skipped, all).length, skipped.length - 1, "all but the small disk");
  });

  it("is a failure in CI, whatever it lacks that may be required", async () => {
    const text = await readFile(new URL("../../../.ci/run", import.meta.url), "utf8");
    const names = Array.from(text.matchAll(/\b(REQUIRE_\w+)=1\b/g), ([, name]) => name!);
    assert.deepEqual(names.toSorted(), Object.keys(REQUIRED).toSorted());
  });
});

describe("the table of clients", () => {
  it("has a client in each row and the worst outcome of an operation in each cell", () => {
    const reports = [
      { passed: ["group > Reader 2: subscribe: it asks", "Reader 2: deliver: bytes"], failed: [], skipped: [] },
      {
        passed: ["Pinger: publish: a ping", "another test", "MOSIP: failed content: a page: its end"],
        failed: ["Reader 2: deliver: a signature"],
        skipped: [{ test: "Pinger: publish: twice", why: "" }],
      },
    ];
    assert.deepEqual(operationsTable(reports), [
      "client    subscribe  verify  deliver  unsubscribe  publish  failed content",
      "MOSIP     –          –       –        –            –        passed",
      "Pinger    –          –       –        –            skipped  –",
      "Reader 2  passed     –       failed   –            –        –",
    ]);
    assert.deepEqual(operationsTable([{ passed: ["another test"], failed: [], skipped: [] }]), []);
  });
});

describe("the table of all runs", () => {
  it("has a suite in each row and a target in each column", () => {
    const node = tallyOf([
      ["test/core/a.test.ts", { passed: 2, failed: 0, skipped: 1 }],
      ["test/core/b/c.test.ts", { passed: 3, failed: 1, skipped: 0 }],
      ["test/conformance/embedded.test.ts", { passed: 250, failed: 0, skipped: 0 }],
    ]);
    const bun = tallyOf([["test/conformance/embedded.test.ts", { passed: 249, failed: 1, skipped: 0 }]]);
    assert.deepEqual(table(new Map([["node", node], ["bun", bun]])), [
      "passed/failed/skipped         node      bun",
      "conformance, embedded log  250/0/0  249/1/0",
      "units of the core            5/1/1        –",
      "all                        255/1/1  249/1/0",
    ]);
  });
});
