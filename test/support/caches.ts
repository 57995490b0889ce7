// What tests fetch or build once per machine, outside the checkout.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** Where a thing of this name lies. The name has the versions of all that is in it. */
export function cachePath(name: string): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "tidings", name);
}

/**
 * The path of a thing. If there is none yet, `make` makes it in an empty directory and resolves to where it lies there. It is
 * complete: several processes may do so at once, and the rename is all or nothing.
 */
export async function cached(name: string, make: (directory: string) => Promise<string>): Promise<string> {
  const path = cachePath(name);
  if (existsSync(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  const work = await mkdtemp(`${path}-`);
  try {
    const result = await make(work);
    await rename(result, path).catch((error: unknown) => {
      if (!existsSync(path)) throw error;
    });
    return path;
  } catch (error) {
    throw new Error(`Cannot get ${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
