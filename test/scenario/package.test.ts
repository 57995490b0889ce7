// The package as users have it (docs/package.md): packed, installed in an empty project, and used on every runtime that it promises.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.ts";
import { type Command, runCommand, signalCommand } from "../support/hub/command.ts";
import { freePort } from "../support/free-port.ts";
import { executableOf } from "../support/runtimes.ts";
import { installPackage, outputOf, pathWith } from "../support/package/installed.ts";

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");
const manifest = JSON.parse(await read("package.json")) as {
  readonly version: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const OLDEST_NODE = manifest.engines["node"]!.replace(">=", "");
/** The examples of the document by the name of their file. */
const EXAMPLES = new Map(
  [...(await read("docs/package.md")).matchAll(/^```js\n\/\/ (\S+)\n([^]*?)^```$/gm)].map(([, name, text]) =>
    [name!, text!] as const
  ),
);
const IMPORTS = Object.keys(manifest.exports).filter((name) => name !== "./package.json")
  .map((name) => name.replace(/^\./, "tidings"));
/** What `tidings` runs. */
const BIN = "node_modules/tidings/dist/package/cli/bin.js";
const NOT_EXPORTED = [
  "tidings",
  "tidings/edge/edge",
  "tidings/shared/runtime/keys",
  "tidings/dist/package/core/core.js",
];

const installed = await installPackage(OLDEST_NODE);
const skip = "whyNot" in installed ? installed.whyNot : false;
const { directory, oldestNode, packed, remove } = "whyNot" in installed
  ? { directory: "", oldestNode: "", packed: undefined, remove: async () => {} }
  : installed;

interface Runtime {
  readonly name: string;
  readonly version: RegExp;
  readonly path: string;
  /** How it runs the installed program. */
  readonly program: readonly string[];
  /** How the greeting says that the program is run, if it is not the same. */
  readonly listener?: string;
  /** How it runs a script. */
  readonly script: readonly string[];
}

const RUNTIMES: readonly Runtime[] = [
  {
    name: "the oldest Node",
    version: new RegExp(`\\(Node ${OLDEST_NODE.replaceAll(".", "\\.")}`),
    path: pathWith(oldestNode),
    program: ["npx", "tidings"],
    script: ["node"],
  },
  { name: "Node 24", version: /\(Node 24\./, path: pathWith(), program: ["npx", "tidings"], script: ["node"] },
  {
    name: "Deno",
    version: /\(Deno /,
    // npm's command of this name starts another program, which the permission does not name.
    path: pathWith(dirname(executableOf("deno"))),
    program: ["deno", "run", "--allow-net", "--allow-env", "--allow-run=deno", "npm:tidings"],
    listener: "deno run --allow-net --allow-env npm:tidings",
    script: ["deno", "run", "-A"],
  },
  {
    name: "Bun",
    version: /\(Bun /,
    path: pathWith(),
    program: ["bunx", "--bun", "tidings"],
    script: ["bun", "--max-http-header-size=131072"],
  },
];

describe("the package", { skip, timeout: 180_000 }, () => {
  const commands: Command[] = [];
  after(async () => {
    for (const command of commands) signalCommand(command, "SIGKILL");
    await Promise.all(commands.map(({ ended }) => ended));
    await remove();
  });

  function run(
    [command = "", ...args]: readonly string[],
    path: string,
    settings: Record<string, string> = {},
    where = directory,
  ): Command {
    const started = runCommand(command, args, { ...settings, PATH: path }, where);
    commands.push(started);
    return started;
  }

  async function stop(command: Command): Promise<void> {
    signalCommand(command, "SIGINT");
    // npx ends by the signal itself; its output ends when the hub has.
    assert.ok([0, null].includes(await command.ended), command.errors());
  }

  async function settingsOf(runtime: string): Promise<Record<string, string>> {
    const [core, edge] = [await freePort(), await freePort()];
    return {
      TIDINGS_CORE_LISTEN: `127.0.0.1:${core}`,
      TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_CORE_URL: `http://127.0.0.1:${core}`,
      TIDINGS_EDGE_LISTEN: `127.0.0.1:${edge}`,
      TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_DATA_DIR: `data of ${runtime}`,
      TIDINGS_LOG_LEVEL: "warning",
    };
  }

  it("has the compiled code, its types and its documents, and nothing else", async (context) => {
    const paths = packed!.files.map(({ path }) => path);
    const expected =
      /^(?:dist\/package\/(?:cli|client|core|edge|shared)\/.*\.(?:js|d\.ts)|docs\/[\w-]+\.md|LICENSE|README\.md|SECURITY\.md|package\.json)$/;
    assert.deepEqual(paths.filter((path) => !expected.test(path)), []);
    for (const target of Object.values(manifest.exports)) assert.ok(paths.includes(target.replace("./", "")), target);
    const types = await readFile(join(directory, "node_modules/tidings/dist/package/client/listener.d.ts"), "utf8");
    assert.match(types, /\/\*\* Under 200 bytes \(§5\.1\), not empty\. \*\//);
    context.diagnostic(`${packed!.size} B packed, ${packed!.unpackedSize} B unpacked, ${paths.length} files`);
  });

  it("brings what it needs, and no tools", async () => {
    const all = JSON.parse(await outputOf(run(["npm", "ls", "--all", "--json"], pathWith()))) as {
      readonly problems?: readonly string[];
      readonly dependencies: { readonly tidings: { readonly dependencies: Readonly<Record<string, unknown>> } };
    };
    assert.deepEqual(all.problems ?? [], []);
    const names = Object.keys(all.dependencies.tidings.dependencies);
    assert.ok(names.includes("undici"));
    assert.deepEqual(names.filter((name) => name in manifest.devDependencies), []);
  });

  it("says in one sentence that Node is too old", async () => {
    const older = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } })';
    const node = ["node", "--import", `data:text/javascript,${encodeURIComponent(older)}`];
    const refused = run([...node, BIN, "start"], pathWith());
    assert.equal(await refused.ended, 1);
    assert.equal(refused.errors(), `tidings: Node 20.1.0 is too old: ${OLDEST_NODE} or newer is needed\n`);
  });

  it("is not needed where there is a checkout: the oldest Node runs its TypeScript, too", async () => {
    const file = fileURLToPath(new URL("../../cli/run.js", import.meta.url));
    const hub = run(["node", file, "tidings", "start"], pathWith(oldestNode), await settingsOf("a checkout"));
    const seen = () => hub.output() + hub.errors();
    await eventually("the greeting", () => hub.output().includes("Ctrl-C"), { deadlineMs: 30_000, seen });
    await stop(hub);
    assert.equal(hub.errors(), "");
  });

  for (const resolution of ["nodenext", "bundler"]) {
    it(`has types that hold under the module resolution "${resolution}", with those of all that they name`, async () => {
      const text = [
        ...IMPORTS.map((name, index) => `import * as names${index} from "${name}";`),
        'import { openEdge, type OpenEdge } from "tidings/edge";',
        'import { parseSettings } from "tidings/settings";',
        "export const edge: OpenEdge = await openEdge(parseSettings({}));",
        "// @ts-expect-error: not a string",
        "export const text: string = edge.fetch;",
        `export const all = [${IMPORTS.map((_, index) => `names${index}`).join()}];`,
      ];
      await writeFile(join(directory, `${resolution}.ts`), text.join("\n"));
      const module = resolution === "bundler" ? "esnext" : resolution;
      const options = {
        module,
        moduleResolution: resolution,
        target: "es2024",
        lib: ["es2024", "dom", "dom.iterable"],
      };
      const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true, types: [] };
      const project = { compilerOptions: { ...options, ...strict }, files: [`${resolution}.ts`] };
      await writeFile(join(directory, `${resolution}.json`), JSON.stringify(project));
      await outputOf(run(["tsc", "-p", `${resolution}.json`], pathWith()));
    });
  }

  for (const { name, version, path, program, listener: listening = program.join(" "), script } of RUNTIMES) {
    describe(`on ${name}`, () => {
      it("tells its version", async () => {
        const told = await outputOf(run([...program, "--version"], path));
        assert.ok(told.startsWith(`tidings ${manifest.version} (`), told);
        assert.match(told, version);
      });

      it("lets import what it exports, and nothing else", async () => {
        await writeFile(
          join(directory, "imports.js"),
          `for (const name of ${JSON.stringify(IMPORTS)}) await import(name);
           for (const name of ${JSON.stringify(NOT_EXPORTED)}) {
             console.log(await import(name).then(() => name + " was imported", () => "refused"));
           }`,
        );
        const said = await outputOf(run([...script, "imports.js"], path));
        assert.equal(said, "refused\n".repeat(NOT_EXPORTED.length));
      });

      it("starts a hub whose four lines deliver a message", async () => {
        const hub = run([...program, "start"], path, await settingsOf(name));
        await eventually("the greeting", () => hub.output().includes("Ctrl-C"), {
          deadlineMs: 30_000,
          seen: () => hub.output() + hub.errors(),
        });
        assert.ok(hub.output().includes(`Its data is in ${join(directory, `data of ${name}`)}\n`), hub.output());
        const port = String(await freePort());
        const lines = hub.output().split("\n").filter((line) => line.startsWith("  ")).map((line) =>
          line.trim().replace(" listen ", ` listen --port ${port} `).replace(":9393", `:${port}`)
        );
        assert.ok(lines[1]?.startsWith(`${listening} listen --port`), lines[1]);
        // The second line listens in the background; the others wait until it does.
        const listener = run(["bash", "-c", lines.slice(0, 2).join("\n").replace(/& sleep 2$/, "")], path);
        const seen = () => listener.output() + listener.errors();
        await eventually("the subscription", () => listener.output().includes("Ctrl-C"), { deadlineMs: 30_000, seen });
        const rest = await outputOf(run(["bash", "-c", lines.slice(2).join("\n")], path));
        assert.match(rest, /"state":\s*"active"/);
        await eventually("the delivery", () => /signatures? good.*\{"hello":"world"\}/.test(listener.output()), {
          seen,
        });
        signalCommand(listener, "SIGINT");
        await eventually("the end", () => listener.output().includes("Unsubscribed."), { seen });
        await stop(hub);
        assert.equal(hub.errors(), "");
      });

      it("runs a core from any directory", async () => {
        const where = join(directory, `elsewhere of ${name}`);
        await mkdir(where);
        const core = run([...script, join(directory, BIN), "core"], path, await settingsOf(name), where);
        const seen = () => core.output() + core.errors();
        await eventually("the core", () => core.output().includes("tidings core ready at "), {
          deadlineMs: 30_000,
          seen,
        });
        await stop(core);
        assert.deepEqual(await readdir(where), [`data of ${name}`]);
      });

      it("runs the document's core, edge and subscriber", async () => {
        const settings = await settingsOf(`${name}, in parts`);
        const [origin, port] = [
          `127.0.0.1:${settings["TIDINGS_EDGE_LISTEN"]!.split(":")[1]}`,
          String(await freePort()),
        ];
        const started: Command[] = [];
        for (
          const [file, words] of [["core.mjs", "The core is"], ["edge.mjs", "The edge is"], ["subscriber.mjs", "Sub"]]
        ) {
          const text = EXAMPLES.get(file!)!.replace("127.0.0.1:9191", origin).replaceAll("9393", port);
          assert.ok(text.trim().split("\n").length <= 10, `${file} has more than ten lines`);
          await writeFile(join(directory, file!), text);
          if (file === "subscriber.mjs") await register(`http://${origin}/hub`);
          const part = run([...script, file!], path, settings);
          const seen = () => part.output() + part.errors();
          await eventually(file!, () => part.output().includes(words!), { deadlineMs: 30_000, seen });
          started.push(part);
        }
        assert.equal(await (await fetch(`http://${origin}/`)).text(), "My own page\n");
        await publish(`http://${origin}/hub`);
        await eventually("the delivery", () => started[2]!.output().endsWith("the news\n"), {
          seen: () => started.map((part) => part.output() + part.errors()).join("\n"),
        });
        for (const part of started) signalCommand(part, "SIGKILL");
      });

      it("runs the document's check of signatures, and its guard", async () => {
        for (const file of ["signature.mjs", "guard.mjs"]) await writeFile(join(directory, file), EXAMPLES.get(file)!);
        assert.equal(await outputOf(run([...script, "signature.mjs"], path)), "to be trusted\n");
        const judged = await outputOf(run([...script, "guard.mjs"], path));
        assert.deepEqual(judged.trim().split("\n").map((line) => line.endsWith(" may be called")), [
          true,
          true,
          false,
          false,
          false,
        ]);
      });
    });
  }
});

const TOPIC = "https://example.com/news";

async function register(hub: string): Promise<void> {
  const body = new URLSearchParams({ "hub.mode": "register", "hub.topic": TOPIC });
  assert.equal((await fetch(hub, { method: "POST", body })).status, 200);
}

async function publish(hub: string): Promise<void> {
  const url = `${hub}?hub.mode=publish&hub.topic=${encodeURIComponent(TOPIC)}`;
  const headers = { "content-type": "text/plain" };
  assert.equal((await fetch(url, { method: "POST", body: "the news", headers })).status, 200);
}
