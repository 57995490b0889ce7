// The regular expressions of the code, and which of them may take more time than in proportion to their text.
//
// The checker is scslre, the engine of eslint-plugin-regexp's `no-super-linear-backtracking` and `no-super-linear-move`: it decides by automata,
// the same each time, all of ours in 0.2 s. `recheck` was tried: its pure JavaScript takes over a minute, and ends without a verdict for every
// tenth. What recheck finds and scslre does not is an expression without an anchor that begins with several characters (`:\/\/.*@`):
// that is looked for here, with scslre's own automata (refa). Neither finds a repeated group with the same alternative twice (`(?:a|a)*`); the
// inputs of test/hostile/ would.

import { type AST, RegExpParser } from "@eslint-community/regexpp";
import { parseSync, Visitor } from "oxc-parser";
import { CharSet, type Expression, isDisjointWith, JS, NFA, type NoParent, visitAst } from "refa";
import { analyse } from "scslre";

export interface RegularExpression {
  /** From 1. */
  readonly line: number;
  readonly pattern: string;
  readonly flags: string;
}

interface NodeLike {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

/** All that stand in a file, also those made by `new RegExp` of constants of the file. @throws {Error} on one made of anything else */
export function expressionsIn(path: string, source: string): RegularExpression[] {
  const { program } = parseSync(path, source);
  const constants = new Map<string, NodeLike>();
  const found: RegularExpression[] = [];
  const lineOf = (start: number) => source.slice(0, start).split("\n").length;
  const textOf = (node: NodeLike | undefined): string => {
    switch (node?.type) {
      case "Literal":
        return String(node["value"]);
      case "Identifier":
        return textOf(constants.get(node["name"] as string));
      case "TaggedTemplateExpression":
      case "TemplateLiteral": {
        const isTagged = node.type === "TaggedTemplateExpression";
        const template = (isTagged ? node["quasi"] : node) as NodeLike;
        const texts = (template["quasis"] as { value: { raw: string; cooked: string } }[])
          .map(({ value }) => isTagged ? value.raw : value.cooked);
        const between = (template["expressions"] as NodeLike[]).map(textOf);
        return texts.map((text, place) => text + (between[place] ?? "")).join("");
      }
      default:
        throw new Error(`${path} makes a regular expression of what is not a constant of the file`);
    }
  };
  new Visitor({
    VariableDeclarator(node) {
      if (node.id.type === "Identifier" && node.init !== null) {
        constants.set(node.id.name, node.init as unknown as NodeLike);
      }
    },
    Literal(node) {
      if (!("regex" in node)) return;
      const { pattern, flags } = node.regex as { pattern: string; flags: string };
      found.push({ line: lineOf(node.start), pattern, flags });
    },
    NewExpression(node) {
      if (node.callee.type !== "Identifier" || node.callee.name !== "RegExp") return;
      const [pattern, flags] = node.arguments as unknown as NodeLike[];
      found.push({
        line: lineOf(node.start),
        pattern: textOf(pattern),
        flags: flags === undefined ? "" : textOf(flags),
      });
    },
  }).visit(program);
  return found;
}

/** Why an expression may take more time than in proportion to its text; [] if it does not. */
export function slownessOf({ pattern, flags }: Pick<RegularExpression, "pattern" | "flags">): string[] {
  const { reports } = analyse({ source: pattern, flags });
  return [
    ...reports.map(({ type, exponential }) => `${type}${exponential ? ", exponentially" : ""}`),
    ...(flags.includes("y") ? [] : movesOf(pattern, flags)),
  ];
}

type Elements = readonly AST.Element[];

/**
 * Without an anchor a match is tried from each character on. If what stands before an unbounded part can come again and again within that part,
 * and the match may still fail after it, each try reads all that follows.
 */
function movesOf(pattern: string, flags: string): string[] {
  const parser = new RegExpParser();
  const unicode = { unicode: flags.includes("u"), unicodeSets: flags.includes("v") };
  const ast = parser.parsePattern(pattern, 0, pattern.length, unicode);
  const js = JS.Parser.fromAst({ pattern: ast, flags: parser.parseFlags(flags) });
  const parse = (elements: Elements): NoParent<Expression> => ({
    type: "Expression",
    alternatives: elements.reduce<NoParent<Expression>["alternatives"]>((before, element) => {
      const { expression } = js.parseElement(element, { assertions: "ignore", backreferences: "unknown" });
      return before.flatMap((one) =>
        expression.alternatives.map((other) => ({
          type: "Concatenation",
          elements: [...one.elements, ...other.elements],
        }))
      );
    }, [{ type: "Concatenation", elements: [] }]),
  });
  const { maxCharacter } = js;
  const automatonOf = (expression: NoParent<Expression>) => NFA.fromRegex(expression, { maxCharacter });
  const found: string[] = [];
  for (const elements of sequencesOf(ast.alternatives)) {
    if (elements[0]?.type === "Assertion" && elements[0].kind === "start") continue;
    for (const [place, element] of elements.entries()) {
      const [before, after] = [elements.slice(0, place), elements.slice(place + 1)];
      if (before.length === 0 || !isUnbounded(element)) continue;
      const mayFail = after.some(isAssertion) || !automatonOf(parse(after)).test([]);
      const run = runOf(charactersOf(parse([element]), maxCharacter));
      if (mayFail && !isDisjointWith(automatonOf(parse(before)), automatonOf(run))) {
        found.push(`Move, as ${before.map(({ raw }) => raw).join("")} can stand in ${element.raw}`);
      }
    }
  }
  return [...new Set(found)];
}

/** The ways through an expression, with the groups that are not repeated opened. */
function sequencesOf(alternatives: readonly AST.Alternative[]): Elements[] {
  return alternatives.flatMap(({ elements }) =>
    elements.reduce<Elements[]>((before, element) => {
      const isGroup = element.type === "Group" || element.type === "CapturingGroup";
      const inner = isGroup ? sequencesOf(element.alternatives) : [[element]];
      return before.flatMap((one) => inner.map((other) => [...one, ...other]));
    }, [[]])
  );
}

function isUnbounded(element: AST.Element): boolean {
  if (element.type !== "Quantifier") return false;
  const { max, element: repeated } = element;
  if (max === Infinity) return true;
  const isGroup = repeated.type === "Group" || repeated.type === "CapturingGroup";
  return isGroup && repeated.alternatives.some(({ elements }) => elements.some(isUnbounded));
}

const isAssertion = ({ type }: AST.Element) => type === "Assertion";

function charactersOf(expression: NoParent<Expression>, maxCharacter: number): CharSet {
  let all = CharSet.empty(maxCharacter);
  visitAst(expression, { onCharacterClassEnter: ({ characters }) => void (all = all.union(characters)) });
  return all;
}

/** Any number of these characters. */
function runOf(characters: CharSet): NoParent<Expression> {
  const one = { type: "CharacterClass", characters } as const;
  const alternatives = [{ type: "Concatenation", elements: [one] }] as const;
  const run = { type: "Quantifier", min: 0, max: Infinity, lazy: false, alternatives } as const;
  return { type: "Expression", alternatives: [{ type: "Concatenation", elements: [run] }] } as unknown as NoParent<
    Expression
  >;
}
