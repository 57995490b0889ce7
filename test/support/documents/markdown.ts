// A Markdown document as the rules of documents.test.ts see it: what it links to, what can be linked to in it, its commands, its
// tables. Pure.
import { lexer, type Token, type Tokens } from "marked";

export interface Document {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** Targets of links and images, as written. */
  readonly links: readonly string[];
  /** Of its headings, as a forge makes them. */
  readonly anchors: ReadonlySet<string>;
  /** Of its headings, with their level from 1 on. */
  readonly headings: readonly { readonly level: number; readonly text: string }[];
  readonly shellBlocks: readonly ShellBlock[];
  /** Code within a line. */
  readonly spans: readonly string[];
  /** Rows of tables, without their heads; `heading` is the one that they stand under. */
  readonly rows: readonly { readonly heading: string; readonly cells: readonly string[] }[];
  /** Numbered lists by the heading that they stand under: how many items they have together. */
  readonly numbered: ReadonlyMap<string, number>;
}

export interface ShellBlock {
  readonly text: string;
  /** It stands right below `<!-- needs your own values: … -->`. */
  readonly needsValues: boolean;
}

const NEEDS_VALUES = /^<!-- needs your own values: \S[^]*-->\s*$/;

export function parseDocument(path: string, text: string): Document {
  const links: string[] = [];
  const headings: { level: number; text: string }[] = [];
  const shellBlocks: ShellBlock[] = [];
  const spans: string[] = [];
  const rows: { heading: string; cells: readonly string[] }[] = [];
  const numbered = new Map<string, number>();
  let before: Token | undefined;
  let heading = "";
  for (const token of lexer(text)) {
    if (token.type === "space") continue;
    if (token.type === "heading") {
      heading = plainTextOf(token as Tokens.Heading);
      headings.push({ level: (token as Tokens.Heading).depth, text: heading });
    }
    if (token.type === "code" && (token as Tokens.Code).lang === "sh") {
      const needsValues = before?.type === "html" && NEEDS_VALUES.test(before.raw);
      shellBlocks.push({ text: (token as Tokens.Code).text, needsValues });
    }
    if (token.type === "table") {
      for (const row of (token as Tokens.Table).rows) rows.push({ heading, cells: row.map((cell) => cell.text) });
    }
    if (token.type === "list" && (token as Tokens.List).ordered) {
      numbered.set(heading, (numbered.get(heading) ?? 0) + (token as Tokens.List).items.length);
    }
    for (const inner of withInner(token)) {
      if (inner.type === "link" || inner.type === "image") links.push((inner as Tokens.Link).href);
      if (inner.type === "codespan") spans.push((inner as Tokens.Codespan).text);
      if (inner.type !== "html") continue;
      for (const [, target] of inner.raw.matchAll(/\b(?:href|src)="([^"]*)"/g)) links.push(target!);
    }
    before = token;
  }
  return { path, text, links, anchors: anchorsOf(headings), headings, shellBlocks, spans, rows, numbered };
}

/** As GitHub makes them: of a repeated one the second has "-1". */
function anchorsOf(headings: readonly { readonly text: string }[]): Set<string> {
  const anchors = new Set<string>();
  for (const { text } of headings) {
    const slug = text.toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

function plainTextOf(token: Tokens.Heading): string {
  const text = (tokens: readonly Token[]): string =>
    tokens.map((one) => "tokens" in one && one.tokens !== undefined ? text(one.tokens) : String(Object(one).text ?? ""))
      .join("");
  return text(token.tokens);
}

/** A token and all within it, lists and tables included. */
function* withInner(token: Token): Iterable<Token> {
  yield token;
  const { tokens = [], items = [] } = token as { tokens?: Token[]; items?: Token[] };
  for (const inner of [...tokens, ...items]) yield* withInner(inner);
  if (token.type !== "table") return;
  const { header, rows } = token as Tokens.Table;
  for (const cell of [...header, ...rows.flat()]) for (const inner of cell.tokens) yield* withInner(inner);
}
