// The data directory, made if it is missing.
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a directory and what is missing above it. Node's own `recursive` (24.21) never ends where the directory above exists but
 * allows no new ones, as in /proc.
 * @throws as `mkdir`, if there is no directory afterwards
 */
export async function makeDirectory(path: string): Promise<void> {
  const directory = resolve(path);
  try {
    await mkdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const above = dirname(directory);
    if (code === "ENOENT" && above !== directory) {
      await makeDirectory(above);
      await mkdir(directory).catch((again: unknown) => mustBeThere(directory, again));
    } else await mustBeThere(directory, error);
  }
}

/** Ignores an error of `mkdir` if the directory is there: another process may have made it meanwhile. */
async function mustBeThere(directory: string, error: unknown): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory() !== true) throw error;
}
