// Citations in code and tests (`A3.4`, `ARCHITECTURE §5`, `WIRE §2`, `H36`, `§5.3.1`, `§6.2`), what they may point at, and which of it
// tests are named after. Pure.
import { Visitor } from "oxc-parser";
import { parseSource } from "../architecture.ts";
import type { Document } from "./markdown.ts";

/** `specification`: the W3C Recommendation; `property`: one of ARCHITECTURE §6. */
export type CitedPlace = "rule" | "row" | "ARCHITECTURE" | "WIRE" | "CONFORMANCE" | "specification" | "property";

export interface Citation {
  readonly place: CitedPlace;
  /** `A3.4`, `H36`, `5.3.1`. */
  readonly name: string;
  readonly line: number;
}

export type Targets = Readonly<Record<CitedPlace, ReadonlySet<string>>>;
/** What citations are held against. */
type Known = Readonly<Record<CitedPlace, Pick<ReadonlySet<string>, "has">>>;

const TOKEN =
  /\b(?<document>ARCHITECTURE|WIRE|CONFORMANCE)\b|\b(?<foreign>RFC ?\d+|KIP-\d+|PubSubHubbub [\d.]+|0\.[34](?= §))|§(?<section>\d+(?:\.\d+)*)|\b(?<rule>A\d\.\d+)\b|\b(?<row>H\d{1,2}a?)\b/g;
/** What may stand between a document's name and its sections: "WIRE §5, §6", "ARCHITECTURE §1 to §6", also over lines of a comment. */
const GOES_ON = /^(?:\.md|[\s,;:(–/*]|and|to|or)*$/;

/** All citations of a text, in order. A section that follows no document's name is the specification's, or a property. */
export function citationsIn(text: string): Citation[] {
  const found: Citation[] = [];
  let bound: string | undefined;
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (!GOES_ON.test(text.slice(end, match.index))) bound = undefined;
    end = match.index + match[0].length;
    const { document, foreign, section, rule, row } = match.groups!;
    const line = text.slice(0, match.index).split("\n").length;
    if (document !== undefined || foreign !== undefined) bound = document ?? "foreign";
    else if (rule !== undefined) found.push({ place: "rule", name: rule, line });
    else if (row !== undefined) found.push({ place: "row", name: row, line });
    else if (bound === undefined) {
      found.push({ place: /^6\.\d$/.test(section!) ? "property" : "specification", name: section!, line });
    } else if (bound === "ARCHITECTURE" && section!.includes(".")) {
      found.push({ place: "property", name: section!, line });
    } else if (bound !== "foreign") found.push({ place: bound as CitedPlace, name: section!, line });
  }
  return found;
}

/** What the three documents have to be cited. */
export function targetsOf(architecture: Document, wire: Document, conformance: Document): Targets {
  const rows = conformance.rows.filter(({ cells: [name = ""] }) => /^H\d+a?$/.test(name));
  const properties = [...architecture.numbered].find(([heading]) => heading.startsWith("6."))?.[1] ?? 0;
  return {
    rule: new Set([...architecture.text.matchAll(/^- \*\*(A\d\.\d+)\b/gm)].map(([, name]) => name!)),
    row: new Set(rows.map(({ cells }) => cells[0]!)),
    ARCHITECTURE: sectionsOf(architecture),
    WIRE: sectionsOf(wire),
    CONFORMANCE: sectionsOf(conformance),
    property: new Set(Array.from({ length: properties }, (_, index) => `6.${index + 1}`)),
    // "5.1, 5.3.1", "6 note"; "0.3 §7.1" is PubSubHubbub's.
    specification: new Set(
      rows.flatMap(({ cells }) =>
        cells[2]!.split(",").flatMap((part) => /^\s*(\d+(?:\.\d+)*)(?![.\d]| §)/.exec(part)?.[1] ?? [])
      ),
    ),
  };
}

function sectionsOf({ headings }: Document): Set<string> {
  return new Set(headings.flatMap(({ text }) => /^(\d+)\./.exec(text)?.[1] ?? []));
}

/** One sentence for each citation of a file that points at nothing. */
export function deadCitations(path: string, text: string, targets: Known): string[] {
  return citationsIn(text).filter(({ place, name }) => !targets[place].has(name)).map(({ place, name, line }) => {
    switch (place) {
      case "rule":
        return `${path}:${line} cites ${name}, which is no rule of docs/ARCHITECTURE.md`;
      case "row":
        return `${path}:${line} cites ${name}, which is no row of docs/CONFORMANCE.md`;
      case "property":
        return `${path}:${line} cites §${name}, which is no property of docs/ARCHITECTURE.md, section 6`;
      case "specification":
        return `${path}:${line} cites §${name}, which is no section of the specification that docs/CONFORMANCE.md cites; ` +
          "name the document if another one is meant";
      default:
        return `${path}:${line} cites ${place} §${name}, and docs/${place}.md has no such section`;
    }
  });
}

/** What declares a test or a group of them, the conformance suite's own words included. */
const DECLARES = new Set(["describe", "it", "test", "row", "wire", "settings"]);

/** The titles of a file's tests; of a template the parts that stand in the file. @throws {Error} if it cannot be parsed */
export function titlesIn(path: string, source: string): string[] {
  const titles: string[] = [];
  new Visitor({
    CallExpression({ callee, arguments: given }) {
      if (callee.type !== "Identifier" || !DECLARES.has(callee.name)) return;
      for (const one of given.slice(0, 2)) {
        if (one.type === "Literal" && typeof one.value === "string") titles.push(one.value);
        if (one.type === "TemplateLiteral") titles.push(one.quasis.map(({ value }) => value.raw).join("…"));
      }
    },
  }).visit(parseSource(path, source).program);
  return titles;
}

/**
 * One sentence for each rule and row that no title names, and for each exception that is none any more. `exceptions`: rule or row, and
 * why no test can be named after it.
 */
export function unnamedRules(
  { rule, row }: Pick<Targets, "rule" | "row">,
  titles: readonly string[],
  exceptions: Readonly<Record<string, string>>,
): string[] {
  const named = new Set(titles.flatMap(citationsIn).map(({ name }) => name));
  return [
    ...[...rule, ...row].filter((name) => !named.has(name) && !Object.hasOwn(exceptions, name))
      .map((name) => `No test is named after ${name}`),
    ...Object.keys(exceptions).filter((name) => named.has(name))
      .map((name) => `A test is named after ${name}: it is no exception any more`),
    ...Object.keys(exceptions).filter((name) => !rule.has(name) && !row.has(name))
      .map((name) => `${name} is an exception, and neither a rule nor a row`),
  ];
}
