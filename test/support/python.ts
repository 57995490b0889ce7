// Python programs for tests, with packages that are fetched once per machine into an environment of their own.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached } from "./caches.ts";

const HOW = "Debian: apt-get install python3-venv";
const run = promisify(execFile);

/** What is missing to run Python with packages, and how to get it; undefined if nothing is. */
export async function pythonMissing(): Promise<string | undefined> {
  const venv = await run("python3", ["-c", "import ensurepip, venv"]).then(() => true, () => false);
  return venv ? undefined : `there is no python3 with venv on the PATH (${HOW})`;
}

/** Directory of these packages (`name==version`) and what they need, for PYTHONPATH. */
export async function pythonPackages(name: string, packages: readonly string[]): Promise<string> {
  // Compiled modules belong to the version of Python that fetched them.
  const { stdout: version } = await run("python3", ["--version"]);
  const key = createHash("sha256").update([version, ...packages].join("\n")).digest("hex").slice(0, 12);
  return await cached(`python-${name}-${key}`, async (work) => {
    await run("python3", ["-m", "venv", join(work, "venv")]);
    const target = join(work, "packages");
    await run(join(work, "venv/bin/pip"), ["install", "--quiet", "--no-input", "--target", target, ...packages], {
      maxBuffer: 16 * 1024 * 1024,
    });
    return target;
  });
}
