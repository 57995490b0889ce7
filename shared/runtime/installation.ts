// Where this code stands: in a checkout, as TypeScript, or compiled to JavaScript in an installed package.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
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

/** The directory of libSQL's native code: it stands beside libSQL, wherever the package manager has put that. */
export function libsqlBinaries(): string {
  const client = createRequire(import.meta.url).resolve("@libsql/client/sqlite3");
  return join(dirname(dirname(createRequire(client).resolve("libsql"))), "@libsql");
}

/** How people run a command of ours from where they are. */
export function invocationOf(command: "start" | "listen", args = ""): string {
  if (INSTALLED) return [PROGRAM[runtime()](command), command, args].join(" ").trim();
  const script = { start: "npm start", listen: "npm run -s listen" }[command];
  return args === "" ? script : `${script} -- ${args}`;
}

/** How each runtime runs the program of an installed package. On Deno what starts others gives each only what it needs. */
const PROGRAM = {
  node: () => "npx tidings",
  deno: (command: string) =>
    `deno run --allow-net --allow-env${command === "listen" ? "" : " --allow-run=deno"} npm:tidings`,
  bun: () => "bunx --bun tidings",
};
