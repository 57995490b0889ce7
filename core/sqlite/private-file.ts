// The files of the data directory hold what was published, and who subscribes: only the hub's own user may read them.
import { chmod, open, readdir, stat } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";

const logger = getLogger(["tidings", "core", "process"]);

const OTHERS = 0o077;
/** SQLite gives these the mode of their database, but another version of the hub may have left them. */
const BESIDE = ["-wal", "-shm", "-journal"];

/** Makes a database's file with mode 0600 if it is missing, and takes from others what they may do with it and the files beside it. */
export async function keepPrivate(path: string): Promise<void> {
  const file = await open(path, "a", 0o600);
  await file.close();
  for (const name of [path, ...BESIDE.map((suffix) => path + suffix)]) await tighten(name);
}

/** Takes from others what they may do with a file, if it is there. A WARN says if that is not possible. */
export async function tighten(path: string): Promise<void> {
  try {
    const { mode } = await stat(path);
    if ((mode & OTHERS) !== 0) await chmod(path, mode & 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    logger.warn("Others on this machine may read {path}, and its mode cannot be changed: {error}", { path, error });
  }
}

/** What the hub keeps in its data directory. */
const OWN_FILES = /^(?:(?:log|replica|lock)\.db(?:-wal|-shm|-journal)?|core-keys\.json|edge-key\.json|member\.json)$/;

/**
 * Takes from others what they may do with a data directory that holds nothing else. A WARN where it does hold something, or cannot be
 * changed: then it may be somebody else's too.
 */
export async function keepDirectoryPrivate(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  if ((mode & OTHERS) === 0) return;
  if ((await readdir(directory)).every((name) => OWN_FILES.test(name))) {
    try {
      return await chmod(directory, mode & 0o700);
    } catch {
      // It is another user's.
    }
  }
  logger.warn(
    "Others on this machine may enter or list the data directory {directory}: its mode is {mode}. Its files are private all the same; " +
      "chmod 700 it",
    { directory, mode: (mode & 0o777).toString(8).padStart(4, "0") },
  );
}
