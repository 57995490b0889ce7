// Commands in documents: what a line of a shell block runs, and whether the scripts, files, flags and addresses that it names are
// there. Pure.
import { type ObjectExpression, Visitor } from "oxc-parser";
import { parseSource } from "../architecture.ts";
import type { Document } from "./markdown.ts";

/** What commands may name. */
export interface Project {
  /** package.json's. */
  readonly scripts: Readonly<Record<string, string>>;
  /** With directories. */
  readonly files: ReadonlySet<string>;
  /** Of a program that takes some: its options, and whether each takes a value. */
  readonly optionsOf: (entry: string) => ReadonlyMap<string, "string" | "boolean">;
  /** Words that a program knows: all strings in the files of its folder. */
  readonly wordsOf: (entry: string) => ReadonlySet<string>;
  readonly settings: ReadonlySet<string>;
  /** Paths that the edge answers. */
  readonly routes: ReadonlySet<string>;
}

/** Not ours: only what they are told of ours is looked at. */
const PROGRAMS = new Set(["curl", "deno", "docker", "wrangler"]);
/** The program that is installed with the package, and the file that parses what follows each of its commands. */
const PROGRAM = "cli/tidings.ts";
const COMMANDS: Readonly<Record<string, string>> = {
  start: "shared/runtime/start.ts",
  core: "cli/commands.ts",
  edge: "cli/commands.ts",
  listen: "client/listen.ts",
};
/** The shell's own: nothing of ours runs. */
const SHELL = new Set(["export", "sleep", "unset"]);

/** The words of each command in a shell text: comments are left out, quotes taken off, settings before a command kept. */
export function commandsIn(text: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  const endWord = () => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  const endCommand = () => {
    endWord();
    if (words.length > 0) commands.push(words);
    words = [];
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (character === "\\" && text[at + 1] === "\n") at++;
    else if (character === "#" && word === undefined) {
      while (at + 1 < text.length && text[at + 1] !== "\n") at++;
    } else if (/[\n;&|]/.test(character)) endCommand();
    else if (/\s/.test(character)) endWord();
    else word = (word ?? "") + character;
  }
  endCommand();
  return commands;
}

/** The same command for different numbers, addresses and settings: what a list of commands has. */
export function normalForm(command: readonly string[]): string {
  return withoutSettings(command).map((word) => /^\d+$/.test(word) ? "N" : word).join(" ");
}

/** One sentence for each script, file, flag, word, setting or address that a command names and that is not there. */
export function wrongInCommand(command: readonly string[], project: Project): string[] {
  const found = command.flatMap((word) => [...wrongSettings(word, project), ...wrongAddress(word, project)]);
  const [program = "", ...given] = withoutSettings(command);
  switch (program) {
    case "":
      return found;
    case "npm":
      return [...found, ...wrongNpm(given, project)];
    case "node":
      return [...found, ...wrongNode(given, project)];
    case "tidings":
      return [...found, ...wrongInstalled(["tidings", ...given], project)];
    case "npx":
    case "bunx":
      return [...found, ...wrongInstalled(given.filter((word) => word !== "--bun"), project)];
    default:
      return PROGRAMS.has(program) || SHELL.has(program)
        ? found
        : [...found, `"${program}" is no program that the documents' test knows`];
  }
}

/** Commands within a line of a document, as far as they can be looked at: their script, and their flags. */
export function wrongInSpan(span: string, project: Project): string[] {
  return commandsInSpan(span).flatMap((command) => wrongInCommand(command, project));
}

function commandsInSpan(span: string): string[][] {
  return /^(?:TIDINGS_\S+ )*(?:npm|node|npx|bunx|tidings) /.test(span) ? commandsIn(span) : [];
}

/**
 * One sentence for each command in a document that no test runs, unless it needs the reader's own values. `runBy` has commands in
 * their normal form; one covers all that begin with its words, which are of another size only.
 */
export function unrunCommands(
  { path, shellBlocks, spans }: Document,
  runBy: Readonly<Record<string, unknown>>,
): string[] {
  const inBlocks = shellBlocks.filter(({ needsValues }) => !needsValues).flatMap(({ text }) => commandsIn(text));
  // What a block marks may be named in a line as well.
  const marked = new Set(
    shellBlocks.filter(({ needsValues }) => needsValues).flatMap(({ text }) => commandsIn(text)).map(normalForm),
  );
  const isRun = (form: string) => Object.keys(runBy).some((known) => form === known || form.startsWith(`${known} `));
  return [...inBlocks, ...spans.flatMap(commandsInSpan)].map(normalForm)
    .filter((form) => form !== "" && !SHELL.has(form.split(" ", 1)[0]!) && !isRun(form) && !marked.has(form))
    .map((form) => `${path}: no test runs "${form}", and it is not marked "needs your own values"`);
}

function withoutSettings(command: readonly string[]): readonly string[] {
  const at = command.findIndex((word) => !/^[A-Z][A-Z0-9_]*=/.test(word));
  return at < 0 ? [] : command.slice(at);
}

function wrongSettings(word: string, { settings }: Project): string[] {
  return [...word.matchAll(/\bTIDINGS_[A-Z0-9_]+/g)].map(([name]) => name)
    .filter((name) => !settings.has(name) && !name.startsWith("TIDINGS_TEST_"))
    .map((name) => `there is no setting ${name}`);
}

function wrongAddress(word: string, { routes }: Project): string[] {
  const path = /^https?:\/\/127\.0\.0\.1:9191(\/[^?]*)?(?:\?|$)/.exec(word)?.[1];
  return path === undefined || routes.has(path) ? [] : [`the edge does not answer ${path}`];
}

function wrongNpm(given: readonly string[], project: Project): string[] {
  const end = given.indexOf("--");
  const [own, rest] = end < 0 ? [given, []] : [given.slice(0, end), given.slice(end + 1)];
  const [verb, name, ...more] = own.filter((word) => !word.startsWith("-"));
  if (verb === "ci" || verb === "install" || verb === "pack") return [];
  const script = verb === "run" ? name : verb;
  const text = script === undefined ? undefined : project.scripts[script];
  if (text === undefined) return [`there is no script "${script}" in package.json`];
  const [, entry, command] = /(\S+\.ts)(?: (\S+))?(?!.*\.ts)/.exec(text) ?? [];
  const words = [...(verb === "run" ? more : name === undefined ? [] : [name]), ...rest];
  if (entry === undefined) return [];
  return entry === PROGRAM ? wrongTidings(command, words, project) : wrongArguments(entry, words, project);
}

/** Only our own program is run from where it is installed. */
function wrongInstalled([program, command, ...given]: readonly string[], project: Project): string[] {
  return program === "tidings" ? wrongTidings(command, given, project) : [`"${program}" is not our program`];
}

/** A command of our own program, as its script or its user gives it. */
function wrongTidings(command: string | undefined, given: readonly string[], project: Project): string[] {
  if (command === "--help" || command === "--version") return [];
  const entry = command === undefined ? undefined : COMMANDS[command];
  return entry === undefined ? [`tidings has no command "${command ?? ""}"`] : wrongArguments(entry, given, project);
}

function wrongNode(given: readonly string[], project: Project): string[] {
  if (given.includes("-e")) return [];
  const words = given.filter((word) => !/^--(?:test|test-name-pattern=.*)$/.test(word));
  const [entry = "", ...rest] = words;
  if (given.includes("--test")) return words.flatMap((path) => wrongFile(path, project));
  return [...wrongFile(entry, project), ...wrongArguments(entry, rest, project)];
}

function wrongFile(path: string, { files }: Project): string[] {
  const pattern = new RegExp(`^${path.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")}$`);
  const isThere = path.includes("*") ? [...files].some((file) => pattern.test(file)) : files.has(path);
  return isThere ? [] : [`there is no ${path}`];
}

function wrongArguments(entry: string, given: readonly string[], project: Project): string[] {
  const options = project.optionsOf(entry);
  const found: string[] = [];
  for (let at = 0; at < given.length; at++) {
    const word = given[at]!;
    const flag = /^--([a-z-]+)$/.exec(word)?.[1];
    if (flag !== undefined) {
      const type = options.get(flag);
      if (type === undefined) found.push(`${entry} has no option --${flag}`);
      if (type === "string") at++;
    } else if (entry === "test/run.ts") {
      const isThere = [...project.files].some((file) => file.startsWith(word) && file.endsWith(".test.ts"));
      if (!isThere) found.push(`no test is at ${word}`);
    } else if (!/^[A-Z]+$|^https?:/.test(word) && !project.wordsOf(entry).has(word)) {
      found.push(`${entry} does not know "${word}"`);
    }
  }
  return found;
}

/** The options that a file's `parseArgs` takes. @throws {Error} if it cannot be parsed */
export function optionsIn(path: string, source: string): Map<string, "string" | "boolean"> {
  const options = new Map<string, "string" | "boolean">();
  new Visitor({
    CallExpression({ callee, arguments: [given] }) {
      if (callee.type !== "Identifier" || callee.name !== "parseArgs" || given?.type !== "ObjectExpression") return;
      for (const [name, value] of propertiesOf(given)) {
        if (name !== "options" || value.type !== "ObjectExpression") continue;
        for (const [option, said] of propertiesOf(value)) {
          const isText = said.type === "ObjectExpression" &&
            propertiesOf(said).some(([key, one]) => key === "type" && one.type === "Literal" && one.value === "string");
          options.set(option, isText ? "string" : "boolean");
        }
      }
    },
  }).visit(parseSource(path, source).program);
  return options;
}

/** All strings in a file. @throws {Error} if it cannot be parsed */
export function wordsIn(path: string, source: string): string[] {
  const words: string[] = [];
  new Visitor({
    Literal({ value }) {
      if (typeof value === "string") words.push(value);
    },
  }).visit(parseSource(path, source).program);
  return words;
}

function propertiesOf({ properties }: ObjectExpression) {
  return properties.flatMap((property) => {
    if (property.type !== "Property") return [];
    const { key, value } = property;
    const name = key.type === "Identifier" ? key.name : key.type === "Literal" ? String(key.value) : undefined;
    return name === undefined ? [] : [[name, value] as const];
  });
}
