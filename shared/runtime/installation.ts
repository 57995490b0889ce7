// Where this code stands: in a checkout, as TypeScript, or compiled to JavaScript in an installed package.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { capabilities, environment } from "./process.ts";
import { runtime } from "./which.ts";

/** Compiled files keep their places and change only their endings. */
const INSTALLED = import.meta.url.endsWith(".js");

/** The file that runs a program of ours by its name, and says what is in its way. */
export const RUN = new URL("../../cli/run.js", import.meta.url);

/** The nearest `node_modules`: the one that an installed package is in, or a checkout's own. */
export function nodeModules(): string {
  const around = /^.*\/node_modules\//.exec(import.meta.url)?.[0] ?? new URL("../../node_modules/", import.meta.url);
  return fileURLToPath(around);
}

/**
 * The directories of libSQL's native code, one a machine that was installed for. They are where the files really are: a package
 * manager may put each package into a place of its own, and only links to it beside libSQL. No file is read but by `require`.
 */
export function libsqlBinaries(): string[] {
  const client = createRequire(import.meta.url).resolve("@libsql/client/sqlite3");
  const libsql = createRequire(createRequire(client).resolve("libsql"));
  const { optionalDependencies } = libsql("./package.json") as { readonly optionalDependencies: object };
  return Object.keys(optionalDependencies).flatMap((name) => {
    try {
      return [dirname(libsql.resolve(name))];
    } catch {
      // It is for another machine.
      return [];
    }
  });
}

/** How people run a command of ours from where they are, with the runtime and the package manager that they have. */
export function invocationOf(command: Invoked, args = ""): string {
  const on = runtime();
  if (INSTALLED) return `${PROGRAM[on](command)} ${command} ${args}`.trim();
  if (on !== "node" && !isUnderNpm()) return `${SCRIPT[on][command]} ${args}`.trim();
  const script = on === "node" ? command : `${command}:${on}`;
  const npm = script === "start" ? "npm" : command === "start" ? "npm run" : "npm run -s";
  return args === "" ? `${npm} ${script}` : `${npm} ${script} -- ${args}`;
}

type Invoked = "start" | "listen";

/** How each runtime runs a command of a checkout by itself. */
const SCRIPT: Readonly<Record<"deno" | "bun", Readonly<Record<Invoked, string>>>> = {
  deno: { start: "deno task start", listen: "deno task -q listen" },
  bun: { start: "bun run start:bun", listen: "bun run --silent listen:bun" },
};

/** npm brings Deno and Bun along, so where it runs a script there may be no other. It says that it does. */
function isUnderNpm(): boolean {
  return capabilities().listsEnvironment && environment["npm_config_user_agent"]?.startsWith("npm/") === true;
}

/** How each runtime runs the program of an installed package. On Deno a launcher may run Deno, and gives each tier what that tier needs. */
const PROGRAM = {
  node: () => "npx tidings",
  deno: (command: Invoked) =>
    `deno run --allow-net --allow-env${command === "listen" ? "" : " --allow-run=deno"} npm:tidings`,
  bun: () => "bunx --bun tidings",
};
