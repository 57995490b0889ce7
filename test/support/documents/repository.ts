// The repository as the documents' rules need it, read once.
import { readdir, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { ROUTES } from "../../../edge/routes.ts";
import { PREFIX, ROWS } from "../../../shared/settings/settings.ts";
import { optionsIn, type Project, wordsIn } from "./commands.ts";
import { type Document, parseDocument } from "./markdown.ts";

const ROOT = new URL("../../../", import.meta.url);
/** What is installed, made, or not ours. */
const LEFT_OUT = new Set(["node_modules", ".git", "data", "dist"]);

export interface Repository {
  /** All files and directories, from the root. */
  readonly files: ReadonlySet<string>;
  /** The text of each TypeScript file. */
  readonly sources: ReadonlyMap<string, string>;
  readonly documents: readonly Document[];
  readonly settings: ReadonlySet<string>;
  readonly metrics: ReadonlySet<string>;
  readonly project: Project;
  read(path: string): Promise<string>;
}

export async function readRepository(): Promise<Repository> {
  const read = (path: string) => readFile(new URL(path, ROOT), "utf8");
  const files = new Set<string>();
  for (const entry of await readdir(ROOT, { withFileTypes: true })) {
    if (LEFT_OUT.has(entry.name)) continue;
    files.add(entry.name);
    if (!entry.isDirectory()) continue;
    const within = await readdir(new URL(`${entry.name}/`, ROOT), { recursive: true });
    for (const name of within) files.add(`${entry.name}/${name.replaceAll("\\", "/")}`);
  }
  const sources = new Map<string, string>();
  for (const path of files) if (path.endsWith(".ts")) sources.set(path, await read(path));
  const documents = [];
  for (const path of files) if (path.endsWith(".md")) documents.push(parseDocument(path, await read(path)));
  const settings = new Set(Object.values(ROWS).map(({ name }) => PREFIX + name));
  const metrics = new Set([...sources.values()].flatMap((text) => text.match(/\btidings_[a-z0-9_]+/g) ?? []));
  const { scripts } = JSON.parse(await read("package.json")) as { scripts: Record<string, string> };
  const project: Project = {
    scripts,
    files,
    settings,
    routes: new Set(ROUTES.map(({ path }) => path)),
    optionsOf: (entry) => optionsIn(entry, sources.get(entry) ?? ""),
    wordsOf: (entry) =>
      new Set(
        [...sources].filter(([path]) => posix.dirname(path) === posix.dirname(entry)).flatMap((source) =>
          wordsIn(...source)
        ),
      ),
  };
  return { files, sources, documents, settings, metrics, project, read };
}
