// Private keys in files (ARCHITECTURE §5): made at the first start, mode 0600, never overwritten; a file that others may read
// is refused. A setting may hold the keys themselves instead.
import { randomUUID } from "node:crypto";
import { link, open, readFile, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "../directory.ts";
import { isJson } from "../settings/values.ts";

/** The text of a setting that is either JSON or the path of a file with it. @throws {Error} a sentence for people */
export async function readKeySetting(value: string, kind: "private" | "public" = "private"): Promise<string> {
  if (isJson(value)) return value;
  // Mounted secrets often belong to a group.
  if (kind === "private") await refuseLaxMode(value, 0o037);
  return await read(value);
}

/**
 * The text of a file of ours, made by `make` if there is none; two processes that make it at once agree.
 * @throws {Error} a sentence
 */
export async function readOrMakeKeyFile(path: string, make: () => Promise<string>): Promise<string> {
  if (!await exists(path)) {
    await makeDirectory(dirname(path)).catch((error: unknown) => {
      throw cannot("make", path, error);
    });
    const whole = await writeTemporary(path, await make());
    try {
      // Unlike a rename, a link never replaces what another process has made meanwhile.
      await link(whole, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw cannot("make", path, error);
    } finally {
      await unlink(whole);
    }
  }
  await refuseLaxMode(path, 0o077);
  return await read(path);
}

/** Replaces a key file by what `change` makes of its text, atomically. @throws {Error} a sentence for people */
export async function changeKeyFile(path: string, change: (text: string) => Promise<string>): Promise<void> {
  await rename(await writeTemporary(path, await change(await read(path))), path);
}

/** Writes a file in the same directory, whole and on disk; yields its path. */
async function writeTemporary(path: string, text: string): Promise<string> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    return temporary;
  } catch (error) {
    throw cannot("write", path, error);
  }
}

async function refuseLaxMode(path: string, forbidden: number): Promise<void> {
  const { mode } = await stat(path).catch((error: unknown) => {
    throw cannot("read", path, error);
  });
  if ((mode & forbidden) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  throw new Error(`Cannot use the keys in ${path}: its mode is ${octal}, so others may use them too; chmod 600 it`);
}

async function read(path: string): Promise<string> {
  return await readFile(path, "utf8").catch((error: unknown) => {
    throw cannot("read", path, error);
  });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return false;
    throw cannot("read", path, error);
  });
}

function cannot(what: string, path: string, error: unknown): Error {
  return new Error(`Cannot ${what} the keys in ${path}: ${(error as Error).message}`, { cause: error });
}
