// What third-party clients need that Debian has as packages: programs on the PATH with their libraries.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Undefined if a program with its libraries is there, which this command uses; else what is missing, and how to get it. */
export async function programMissing(
  what: string,
  [program, ...words]: readonly [string, ...string[]],
  packages: string,
): Promise<string | undefined> {
  const there = await run(program, words).then(() => true, () => false);
  return there ? undefined : `there is no ${what} on the PATH (Debian: apt-get install ${packages})`;
}
