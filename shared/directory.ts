// A directory, made if it is missing.
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** For the hub's own user alone. */
const MODE = 0o700;

/**
 * Makes a directory, and what is missing above it, that only the hub's own user may enter. Node's own `recursive` (24.21) never ends where the directory above exists but
 * allows no new ones, as in /proc.
 * @throws as `mkdir`, if there is no directory afterwards
 */
export async function makeDirectory(path: string): Promise<void> {
  const directory = resolve(path);
  try {
    await mkdir(directory, MODE);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const above = dirname(directory);
    if (code === "ENOENT" && above !== directory) {
      await makeAbove(directory, above);
      await mkdir(directory, MODE).catch((again: unknown) => mustBeThere(directory, again));
    } else await mustBeThere(directory, error);
  }
}

/** Deno lets a process make only the directory that it was permitted, but then also what is missing above. */
async function makeAbove(directory: string, above: string): Promise<void> {
  try {
    await makeDirectory(above);
  } catch (error) {
    if ((error as Error).name !== "NotCapable") throw error;
    await mkdir(directory, { recursive: true, mode: MODE });
  }
}

/** Ignores an error of `mkdir` if the directory is there: another process may have made it meanwhile. */
async function mustBeThere(directory: string, error: unknown): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory() !== true) throw error;
}
