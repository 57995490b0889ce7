// `npm run build:binaries [-- --to DIRECTORY]`: core and edge as one executable file each, with Bun and all that they need inside.
// They run on machines like this one.
import { mkdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { libsqlBinaries } from "../../shared/runtime/installation.ts";
import { BUN_FLAGS } from "../../shared/runtime/tier-command.ts";

/** The part of Bun's API that is used here: the plugins that its command line cannot run. */
interface Bundler {
  build(options: {
    readonly entrypoints: readonly string[];
    readonly target: "bun";
    readonly minify: { readonly whitespace: boolean; readonly syntax: boolean };
    readonly compile: Readonly<Record<string, string | boolean | readonly string[]>>;
    readonly plugins: readonly { readonly name: string; readonly setup: (build: Loading) => void }[];
  }): Promise<unknown>;
}

interface Loading {
  onLoad(
    what: { readonly filter: RegExp },
    load: (file: { readonly path: string }) => Promise<{ readonly contents: string; readonly loader: "js" | "ts" }>,
  ): void;
}

/** Files that would be read where the program is started: they are no part of it. */
const READ_NOTHING = {
  autoloadDotenv: false,
  autoloadBunfig: false,
  autoloadPackageJson: false,
  autoloadTsconfig: false,
};

/** Of the flags that a tier has on Bun, the one that is not about files: Bun has one limit of heads for the whole process. */
const HEADER_LIMIT = "--max-http-header-size=";

const { values } = parseArgs({ options: { to: { type: "string" } } });
const directory = values.to ?? fileURLToPath(new URL("../../dist/binaries", import.meta.url));
await buildAll(directory);

async function buildAll(directory: string): Promise<void> {
  const { Bun } = globalThis as unknown as { readonly Bun: Bundler };
  const libsql = nativeLibsql();
  await mkdir(directory, { recursive: true });
  for (const tier of ["core", "edge"] as const) {
    const outfile = join(directory, `tidings-${tier}`);
    await Bun.build({
      entrypoints: [fileURLToPath(new URL(`${tier}.ts`, import.meta.url))],
      target: "bun",
      // Names stay, so that errors tell where they come from.
      minify: { whitespace: true, syntax: true },
      compile: { outfile, execArgv: BUN_FLAGS.filter((flag) => flag.startsWith(HEADER_LIMIT)), ...READ_NOTHING },
      plugins: [{ name: "static requires", setup: (build) => makeRequiresStatic(build, libsql) }],
    });
    console.log(`${outfile}: ${(await stat(outfile)).size} bytes`);
  }
}

/** The package with libSQL's native code for this machine. */
function nativeLibsql(): string {
  const machine = `${process.platform}-${process.arch}`;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const ending = process.platform === "linux" ? (header.glibcVersionRuntime === undefined ? "-musl" : "-gnu") : "";
  const found = libsqlBinaries().map((directory) => basename(directory)).find((name) =>
    name.startsWith(machine + ending)
  );
  if (found === undefined) throw new Error(`libSQL has no native code for ${machine}${ending}: run npm ci`);
  return `@libsql/${found}`;
}

/** A single file holds only what is required by a name that stands in the code. */
function makeRequiresStatic(build: Loading, libsql: string): void {
  const replaceIn = (filter: RegExp, loader: "js" | "ts", found: string, replacement: string) =>
    build.onLoad({ filter }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!text.includes(found)) throw new Error(`${path} no longer says ${found}`);
      return { contents: text.replace(found, replacement), loader };
    });
  replaceIn(/\/libsql\/index\.js$/, "js", "require(`@libsql/${target}`)", `require("${libsql}")`);
  replaceIn(/\/core\/replica\/drizzle\.ts$/, "ts", "const require = createRequire(import.meta.url);", "");
}
