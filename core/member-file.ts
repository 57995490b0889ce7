// The file in the data directory that keeps the group's name for the process, for the next process in the same directory. That one
// has the directory's lock, so it knows that the one before is dead, and leaves the group for it (A3.3).
import { readFile, writeFile } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";
import { tighten } from "./sqlite/private-file.ts";

const logger = getLogger(["tidings", "core", "process"]);

export interface MemberFile {
  /** The group's name for the process before, if it was a member of this log's group. */
  readonly predecessor: string | undefined;
  /** Writes the group's name for this process. */
  joinedAs(id: string): void;
}

/** `identity` is the log's: the name of a member of another log's group is ignored. */
export async function openMemberFile(path: string, identity: string): Promise<MemberFile> {
  // A mode is given to a new file only.
  await tighten(path);
  let writing = Promise.resolve();
  return {
    predecessor: await memberIn(path, identity),
    joinedAs(id) {
      // Without the name the next process waits for this one's session to end: that is no reason to stop.
      writing = writing.then(() => writeFile(path, JSON.stringify({ identity, id }), { mode: 0o600 })).catch((
        error: unknown,
      ) => logger.warn("Cannot write {path}: {error}", { path, error }));
    },
  };
}

async function memberIn(path: string, identity: string): Promise<string | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof found !== "object" || found === null || !("identity" in found) || !("id" in found)) return undefined;
    return found.identity === identity && typeof found.id === "string" ? found.id : undefined;
  } catch {
    return undefined;
  }
}
