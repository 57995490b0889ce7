// The data directory, made if it is missing.
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a directory and what is missing above it. Not Node's own `recursive`, which tries for ever (24.21) where the directory
 * above is there and takes none: in /proc, say.
 * @throws as `mkdir`, if there is none afterwards
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

/** Another may have made it meanwhile; whatever else `mkdir` said of one that is there does not matter. */
async function mustBeThere(directory: string, error: unknown): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory() !== true) throw error;
}
