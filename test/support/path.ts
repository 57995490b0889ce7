// A PATH on which there is one runtime, and no npm.
import { existsSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Runtime } from "../../shared/runtime/which.ts";
import { executableOf } from "./runtimes.ts";

/** What scripts and the lines of the greeting need of the system. */
const TOOLS = ["bash", "curl", "env", "sh", "sleep"];

/** Makes this directory the whole PATH of someone who has only this runtime. */
export async function pathOf(directory: string, runtime: Runtime): Promise<string> {
  await mkdir(directory, { recursive: true });
  await symlink(executableOf(runtime), join(directory, runtime));
  for (const tool of TOOLS) await symlink(placeOf(tool), join(directory, tool));
  return directory;
}

/** Where a tool of this machine is. */
function placeOf(tool: string): string {
  const places = (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, tool));
  return places.find((place) => existsSync(place)) ?? tool;
}
