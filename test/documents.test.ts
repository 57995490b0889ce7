// The documents are binding, so what code and tests cite stands in them, what they promise has a test that is named after it, and
// what they name is there (CONTRIBUTING.md). The rules are functions in test/support/documents.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { ROOMS } from "./support/architecture.ts";
import { deadCitations, type Targets, targetsOf, titlesIn, unnamedRules } from "./support/documents/citations.ts";
import { commandsIn, unrunCommands, wrongInCommand, wrongInSpan } from "./support/documents/commands.ts";
import type { Document } from "./support/documents/markdown.ts";
import { deadFilesInComments, deadLinks, deadPaths, unknownNames, wrongRooms } from "./support/documents/places.ts";
import { readRepository, type Repository } from "./support/documents/repository.ts";

/** Rules and rows that no test can be named after, and why. */
const UNNAMED: Readonly<Record<string, string>> = {
  H17: "the hub makes no such check: there is nothing to see",
  H27: "the hub never redirects to another hub",
  H42: "optional, and not done",
  H51: "optional, and not done",
};

/** Commands of the documents in their normal form, and the file that runs them; `says` is how it names them. */
const RUN_BY: Readonly<Record<string, { readonly path: string; readonly says: string }>> = {
  "npm ci": { path: ".ci/run", says: "npm ci" },
  "npm ci --omit=dev": { path: ".ci/run", says: "npm ci" },
  "npm run check": { path: "test/run.ts", says: "check: {" },
  "npm test": { path: ".ci/run", says: "npm test" },
  "npm run test:deno": { path: ".ci/run", says: "npm run test:deno" },
  "npm run test:bun": { path: ".ci/run", says: "npm run test:bun" },
  "npm run test:table": { path: ".ci/run", says: "test:table" },
  "npm run test:clients": { path: ".ci/run", says: "npm run test:clients" },
  "npm run build:worker": { path: "test/edge/worker/bundle.test.ts", says: "buildWorker()" },
  "npm run typecheck": { path: "package.json", says: "npm run --silent typecheck" },
  "npm run lint": { path: "package.json", says: "npm run --silent lint" },
  "npm start": { path: "test/scenario/start.test.ts", says: '"start"' },
  "npm start -- --cores": { path: "test/scenario/start-cores.test.ts", says: '"--cores"' },
  "npm start -- --rotate-keys": { path: "test/scenario/start.test.ts", says: '"--rotate-keys"' },
  "npm start -- --print-config": { path: "test/shared/runtime/launcher.test.ts", says: '"--print-config"' },
  "npm run start:deno": { path: "test/scenario/start.test.ts", says: "startScript(runtime)" },
  "npm run start:bun": { path: "test/scenario/start.test.ts", says: "startScript(runtime)" },
  "npm run start:deno:core": { path: "test/scenario/start.test.ts", says: '"start:deno:core"' },
  "npm run start:deno:edge": { path: "test/scenario/start.test.ts", says: '"start:deno:edge"' },
  "npm run start:bun:core": { path: "test/scenario/start.test.ts", says: '"start:bun:core"' },
  "npm run start:bun:edge": { path: "test/scenario/start.test.ts", says: '"start:bun:edge"' },
  "npm run listen:deno": { path: "test/scenario/start.test.ts", says: '"listen:deno"' },
  "npm run listen:bun": { path: "test/scenario/start.test.ts", says: '"listen:bun"' },
  "npm run start:core": { path: "test/scenario/commands.test.ts", says: '"start:core"' },
  "npm run start:edge": { path: "test/scenario/commands.test.ts", says: '"start:edge"' },
  // The start test pastes the README's lines.
  "npm run -s listen": { path: "test/scenario/start.test.ts", says: "README.md" },
  "npm run listen": { path: "test/scenario/start.test.ts", says: "README.md" },
  "curl": { path: "test/scenario/start.test.ts", says: "README.md" },
  "npm run build:binaries": { path: "test/scenario/binaries.test.ts", says: '"build:binaries"' },
  "npm pack": { path: "test/support/package/installed.ts", says: '"pack"' },
  "npx tidings start": { path: "test/scenario/package.test.ts", says: '"npx", "tidings"' },
  "bunx --bun tidings start": { path: "test/scenario/package.test.ts", says: '"bunx", "--bun", "tidings"' },
  "tidings --help": { path: "test/cli/tidings.test.ts", says: '"--help"' },
  "tidings start": { path: "test/scenario/package.test.ts", says: '"start"' },
  "tidings core": { path: "test/cli/tidings.test.ts", says: '"core"' },
  "tidings edge": { path: "test/cli/tidings.test.ts", says: '"edge"' },
  "tidings listen": { path: "test/scenario/package.test.ts", says: "listen --port" },
  "npm run demo": { path: "test/demo/demo.test.ts", says: '"demo"' },
  "npm run demo -- --runtime": { path: "test/demo/demo.test.ts", says: '"--runtime"' },
  "npm run demo -- --kafka": { path: "test/demo/demo.test.ts", says: '"--kafka"' },
  "npm run simulate": { path: "test/scenario/commands.test.ts", says: '"simulate"' },
  "npm run chaos": { path: "test/scenario/commands.test.ts", says: '"chaos"' },
  "npm run bench": { path: "test/scenario/commands.test.ts", says: '"bench"' },
  "npm run scenario -- brokers": { path: "test/scenario/brokers.test.ts", says: "runBrokers" },
  "npm run scenario -- rolling": { path: "test/scenario/brokers.test.ts", says: "runRolling" },
  "node test/hostile/fuzz.ts": { path: "test/hostile/fuzz.test.ts", says: "fuzz({ requests" },
  "npm run settings": { path: "test/shared/settings/settings-document.test.ts", says: "settingsDocument()" },
};

const ANY: Pick<Set<string>, "has"> = { has: () => true };

describe("the documents", () => {
  let repository: Repository;
  let architecture: Document;
  let targets: Targets;
  before(async () => {
    repository = await readRepository();
    const document = (path: string) => repository.documents.find((one) => one.path === path)!;
    architecture = document("docs/ARCHITECTURE.md");
    targets = targetsOf(architecture, document("docs/WIRE.md"), document("docs/CONFORMANCE.md"));
  });

  /** All but what is made up for the rules' own tests. */
  const sources = () => [...repository.sources].filter(([path]) => !path.startsWith("test/support/documents/"));

  it("have what code and tests cite", () => {
    assert.ok(targets.rule.size > 20 && targets.row.size > 70, "the documents were read");
    assert.deepEqual(sources().flatMap(([path, text]) => deadCitations(path, text, targets)), []);
    // Within a document a section without a name may be its own.
    const named = { ...targets, specification: ANY, property: ANY };
    assert.deepEqual(repository.documents.flatMap(({ path, text }) => deadCitations(path, text, named)), []);
  });

  it("promise nothing that no test is named after", () => {
    const titles = sources().filter(([path]) => path.startsWith("test/")).flatMap((source) => titlesIn(...source));
    assert.deepEqual(unnamedRules(targets, titles, UNNAMED), []);
  });

  it("begin with a README that one reads in a sitting", async () => {
    const lines = (await repository.read("README.md")).split("\n").length - 1;
    assert.ok(lines <= 130, `README.md has ${lines} lines; what does not fit belongs into docs/`);
  });

  it("link to what is there", () => {
    assert.deepEqual(deadLinks(repository.documents, repository.files), []);
  });

  it("name files, settings, metrics and rooms that are there", () => {
    const { documents, files, settings, metrics } = repository;
    assert.deepEqual(documents.flatMap((document) => deadPaths(document, files)), []);
    assert.deepEqual(documents.flatMap((document) => unknownNames(document, settings, metrics)), []);
    assert.deepEqual(wrongRooms(architecture, Object.values(ROOMS).flat()), []);
  });

  it("and comments name files that are there", () => {
    const dead = sources().flatMap(([path, text]) => deadFilesInComments(path, text, repository.files));
    assert.deepEqual(dead, []);
  });

  it("have commands whose scripts, files, flags and addresses are there", () => {
    const { documents, project } = repository;
    const wrong = documents.flatMap(({ path, shellBlocks, spans }) => [
      ...shellBlocks.flatMap(({ text }) => commandsIn(text)).flatMap((command) =>
        wrongInCommand(command, project).map((what) => `${path}: "${command.join(" ")}": ${what}`)
      ),
      ...spans.flatMap((span) => wrongInSpan(span, project).map((what) => `${path}: "${span}": ${what}`)),
    ]);
    assert.deepEqual(wrong, []);
  });

  it("have commands that a test runs, or that need the reader's own values", async () => {
    assert.deepEqual(repository.documents.flatMap((document) => unrunCommands(document, RUN_BY)), []);
    for (const [command, { path, says }] of Object.entries(RUN_BY)) {
      assert.ok(repository.files.has(path), `${path}, which is to run "${command}", is not there`);
      assert.ok(
        (await repository.read(path)).includes(says),
        `${path} does not say ${says}: does it run "${command}"?`,
      );
    }
  });
});
