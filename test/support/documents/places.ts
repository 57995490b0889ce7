// What documents and comments name of the repository: files, settings, metrics, rooms. Each must be there. Pure.
import { posix } from "node:path";
import { parseSource } from "../architecture.ts";
import type { Document } from "./markdown.ts";

/** One sentence for each link that leads nowhere: to no file, or to no heading of it. `files` has directories too. */
export function deadLinks(documents: readonly Document[], files: ReadonlySet<string>): string[] {
  const byPath = new Map(documents.map((document) => [document.path, document]));
  return documents.flatMap(({ path, links }) =>
    links.filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link)).flatMap((link) => {
      const [file = "", anchor] = link.split("#", 2);
      const target = file === "" ? path : posix.join(posix.dirname(path), decodeURI(file)).replace(/\/$/, "");
      if (!files.has(target)) return [`${path} links to ${link}: there is no ${target}`];
      if (anchor === undefined || byPath.get(target)?.anchors.has(anchor) === true) return [];
      return [`${path} links to ${link}: ${target} has no such heading`];
    })
  );
}

const PATH = /^(?:core|edge|shared|client|test|docs|deploy)\/[\w./-]*$/;

/** One sentence for each path in a document's code that is not there. One that ends with a slash is a folder. */
export function deadPaths({ path, spans }: Document, files: ReadonlySet<string>): string[] {
  return spans.filter((span) => PATH.test(span) && !files.has(span.replace(/\/$/, "")))
    .map((span) => `${path} names ${span}, which is not there`);
}

/** One sentence for each file that a comment names and that is not there, by its path or by its end ("log.ts", "kafka/cluster.ts"). */
export function deadFilesInComments(path: string, source: string, files: ReadonlySet<string>): string[] {
  const isThere = (name: string) => files.has(name) || [...files].some((file) => file.endsWith(`/${name}`));
  return parseSource(path, source).comments.flatMap(({ value, start }) =>
    [...value.matchAll(/[\w./-]*\w\.(?:ts|md)\b/g)].map(([name]) => name)
      .filter((name) => !isThere(name))
      .map((name) => `${path}:${source.slice(0, start).split("\n").length} names ${name}, which is not there`)
  );
}

/** One sentence for each setting or metric that a document names and the code does not have. `…_*` names all that begin so. */
export function unknownNames(
  { path, text }: Document,
  settings: ReadonlySet<string>,
  metrics: ReadonlySet<string>,
): string[] {
  const names = new Set(
    [...text.matchAll(/\bTIDINGS_[A-Z0-9_]+\*?|(?<!#)\btidings_[a-z0-9_]+\*?/g)].map(([name]) => name),
  );
  return [...names].filter((name) => {
    if (name.startsWith("TIDINGS_TEST_") || name === "TIDINGS_" || name === "tidings_*") return false;
    const known = name.startsWith("TIDINGS_") ? settings : metrics;
    const all = name.endsWith("*");
    return all ? ![...known].some((one) => one.startsWith(name.slice(0, -1))) : !known.has(name);
  }).map((name) => `${path} names ${name}, which the code does not have`);
}

/** One sentence if a document's table of rooms is not the order of `test/support/architecture.ts`. */
export function wrongRooms({ path, rows }: Document, rooms: readonly string[]): string[] {
  const told = rows.filter(({ heading }) => heading === "Rooms").map(({ cells }) => cells[0]!.replaceAll("`", ""));
  const at = rooms.findIndex((room, index) => told[index] !== room);
  if (at < 0 && told.length === rooms.length) return [];
  const place = at < 0 ? rooms.length : at;
  return [
    `${path}: its table of rooms has ${told[place] ?? "nothing"} where test/support/architecture.ts has ${
      rooms[place] ?? "nothing"
    }`,
  ];
}
