// How `npm start` runs the launcher on each runtime: the very flags of package.json.
import { readFileSync } from "node:fs";
import type { Runtime } from "../../../shared/runtime/which.ts";
import { executableOf } from "../runtimes.ts";

/** The script of package.json that starts the hub on a runtime. */
export function startScript(on: Runtime): string {
  return on === "node" ? "start" : `start:${on}`;
}

/** The launcher's command line, but with another script. */
export function launcherCommand(on: Runtime, script: string): readonly [command: string, ...args: string[]] {
  const flags = /exec \S+ (.*)cli\/run\.js tidings start$/.exec(packageScripts()[startScript(on)] ?? "")?.[1];
  if (flags === undefined) throw new Error(`package.json's ${startScript(on)} does not run cli/run.js`);
  const words = flags.split(" ").filter(Boolean).map((word) => word.replace('"$deno"', executableOf("deno")));
  return [executableOf(on), ...words, script];
}

export function packageScripts(): Readonly<Record<string, string>> {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly scripts: Record<string, string> }).scripts;
}
