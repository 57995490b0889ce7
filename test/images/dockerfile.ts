// A Dockerfile as data, read by a parser that editors use.
import {
  DockerfileParser,
  type Instruction,
  JSONInstruction,
  ModifiableInstruction,
  PropertyInstruction,
} from "dockerfile-ast";

export interface Step {
  /** `COPY`, `ENV` and so on. */
  readonly keyword: string;
  /** The instruction's arguments, variables put in. */
  readonly args: readonly string[];
  /** As written, in one line. */
  readonly text: string;
  /** `--from=node` as `from` → `node`. */
  readonly flags: Readonly<Record<string, string>>;
  /** If it is written in the exec form, its words. */
  readonly words: readonly string[] | undefined;
  /** Of ENV and LABEL. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface Stage {
  readonly name: string;
  /** An image, or the name of an earlier stage. */
  readonly from: string;
  readonly steps: readonly Step[];
}

export interface Dockerfile {
  /** ARGs before the first stage. */
  readonly args: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

/** @throws {Error} if a stage has no name */
export function parseDockerfile(text: string): Dockerfile {
  const args: Record<string, string> = {};
  const stages: (Stage & { readonly steps: Step[] })[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const step = stepOf(instruction);
    if (step.keyword === "FROM") {
      const [from = "", as, name] = step.args;
      if (as?.toUpperCase() !== "AS" || name === undefined) throw new Error(`The stage "${step.text}" has no name`);
      stages.push({ name, from, steps: [] });
    } else if (stages.length === 0) {
      const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(step.text) ?? [];
      args[name] = value;
    } else stages.at(-1)!.steps.push(step);
  }
  return { args, stages };
}

function stepOf(instruction: Instruction): Step {
  const keyword = instruction.getKeyword();
  const text = (instruction.getArgumentsContent() ?? "").replace(/\s+/g, " ");
  const flags = instruction instanceof ModifiableInstruction ? instruction.getFlags() : [];
  const properties = instruction instanceof PropertyInstruction ? instruction.getProperties() : [];
  return {
    keyword,
    text,
    args: instruction.getExpandedArguments().map((argument) => argument.getValue()),
    flags: Object.fromEntries(flags.map((flag) => [flag.getName(), flag.getValue() ?? ""])),
    words: wordsOf(instruction, text),
    properties: Object.fromEntries(properties.map((property) => [property.getName(), property.getValue() ?? ""])),
  };
}

function wordsOf(instruction: Instruction, text: string): string[] | undefined {
  if (instruction.getKeyword() === "HEALTHCHECK") {
    // The parser leaves the command of a health check as it is.
    const command = /^CMD (\[.*\])$/.exec(text)?.[1];
    return command === undefined ? undefined : JSON.parse(command) as string[];
  }
  if (!(instruction instanceof JSONInstruction) || instruction.getOpeningBracket() === null) return undefined;
  return instruction.getJSONStrings().map((word) => word.getJSONValue());
}
