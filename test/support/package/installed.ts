// The package as a user has it: packed from this checkout, installed in an empty project.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, runCommand } from "../hub/command.ts";
import { whyNoRegistry } from "./registry.ts";

const BINARIES = fileURLToPath(new URL("../../../node_modules/.bin", import.meta.url));

/** What `npm pack --json` says of a package. */
export interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

export interface InstalledPackage {
  readonly packed: Packed;
  /** The project: an ES module package without anything else. */
  readonly directory: string;
  /** The directory with the oldest `node` that the package promises to run on. */
  readonly oldestNode: string;
  readonly remove: () => Promise<void>;
}

/** Packs and installs; yields why not if the registry cannot be reached. */
export async function installPackage(oldest: string): Promise<InstalledPackage | { readonly whyNot: string }> {
  const root = await mkdtemp(join(tmpdir(), "tidings-package-"));
  const remove = () => rm(root, { recursive: true, force: true, maxRetries: 3 });
  try {
    const [packed] = JSON.parse(await outputOf(runCommand("npm", ["pack", "--json", "--pack-destination", root]))) as [
      Packed,
    ];
    const [directory, node] = [join(root, "project"), join(root, "node")];
    await Promise.all([
      install(directory, join(root, packed.filename)),
      install(node, `node@${oldest}`),
    ]);
    return { packed, directory, oldestNode: join(node, "node_modules", "node", "bin"), remove };
  } catch (error) {
    await remove();
    return { whyNot: whyNoRegistry(error) };
  }
}

async function install(directory: string, what: string): Promise<void> {
  await outputOf(runCommand("mkdir", [directory]));
  await writeFile(join(directory, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
  await outputOf(
    runCommand("npm", ["install", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", what], {}, directory),
  );
}

/** The output of a command that ends well. @throws {Error} with all that it said */
export async function outputOf(command: Command): Promise<string> {
  const code = await command.ended;
  if (code === 0) return command.output();
  throw new Error(`It ended with ${code}: ${command.output()}${command.errors()}`);
}

/** The PATH on which a runtime's program is found first, then those that this checkout brings. */
export function pathWith(directory = BINARIES): string {
  return [directory, BINARIES, process.env["PATH"]].join(":");
}
