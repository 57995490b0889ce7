// The commands of `tidings`. Each is loaded only when it is asked for.
import { parseArgs } from "node:util";
import { closest, distance } from "fastest-levenshtein";
import { launchOne } from "../shared/runtime/launcher.ts";
import { capabilities, complain, environment, readyLine, say } from "../shared/runtime/process.ts";
import { SettingsError } from "../shared/settings/settings.ts";
import { VERSION } from "../shared/product.ts";

interface Command {
  /** For the list of commands. */
  readonly does: string;
  /** What its complaints begin with. */
  readonly name: string;
  /** Resolves to the exit code. @throws {Error} a sentence for people */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  start: {
    does: "runs a hub: a core and an edge, on this machine",
    name: "tidings",
    run: async (args) => (await import("../shared/runtime/start.ts")).start(args),
  },
  core: tierAlone("core", "runs a core alone"),
  edge: tierAlone("edge", "runs an edge alone"),
  listen: {
    does: "subscribes to a topic and prints what is delivered",
    name: "listen",
    run: async (args) => (await import("../client/listen.ts")).listen(args),
  },
};

const USAGE = `Usage: tidings COMMAND [options]

${Object.entries(COMMANDS).map(([name, { does }]) => `  ${name.padEnd(9)}${does}`).join("\n")}

  --help     this text; after a command, the command's
  --version  the version of tidings and of what it runs on

Settings are environment variables, TIDINGS_…; "tidings start --print-config" prints them.`;

/** A word may mean a command from which it differs in at most so many letters. */
const NEAR = 2;

/** Runs the command that the arguments name; resolves to the exit code. */
export async function runCommand([word, ...args]: readonly string[]): Promise<number> {
  if (word === "--help" || word === "-h" || word === "help") return told(USAGE);
  if (word === "--version" || word === "-V") {
    const { name, version } = capabilities();
    return told(`tidings ${VERSION} (${name} ${version})`);
  }
  const command = word !== undefined && Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if (command === undefined) {
    complain(`tidings: ${word === undefined ? "name a command" : unknown(word)}; "tidings --help" lists all`);
    return 1;
  }
  try {
    return await command.run(args);
  } catch (error) {
    if (!isExpected(error)) throw error;
    complain(`${command.name}: ${error.message}`);
    return 1;
  }
}

function unknown(word: string): string {
  const near = closest(word, Object.keys(COMMANDS));
  const meant = distance(word, near) <= NEAR ? `, did you mean ${near}?` : "";
  return `there is no command ${JSON.stringify(word)}${meant}`;
}

function tierAlone(tier: "core" | "edge", does: string): Command {
  const name = `tidings ${tier}`;
  return {
    does,
    name,
    run: async (args) => {
      const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", short: "h" } } });
      if (values.help === true) return told(`Usage: ${name}\n${does}, with its settings from the environment`);
      return await launchOne({
        name: tier,
        environment,
        ready: (tier) => say(readyLine(name, tier)),
      });
    },
  };
}

function told(text: string): number {
  say(text);
  return 0;
}

/** Our own errors are sentences for people, and so are those of parseArgs. Those of the language are defects. */
function isExpected(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const isUsage = "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  return error.name === "Error" || error instanceof SettingsError || isUsage;
}
