// What a process leaves in its data directory for the one that comes after it in the same place: the name under which the group
// knew it. Whoever has the directory's lock knows that the one before is dead, and says good-bye for it (A3.3).
import { readFile, writeFile } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";

const logger = getLogger(["tidings", "core", "process"]);

export interface Place {
  /** Of the process before, if it was a member of this log's group. */
  readonly predecessor: string | undefined;
  joinedAs(id: string): void;
}

/** `identity` is the log's: a member of another log's group is none of this one. */
export async function openPlace(path: string, identity: string): Promise<Place> {
  let writing = Promise.resolve();
  return {
    predecessor: await memberIn(path, identity),
    joinedAs(id) {
      // Without it the next process waits for this one's session: no reason to stop.
      writing = writing.then(() => writeFile(path, JSON.stringify({ identity, id }))).catch((error: unknown) =>
        logger.warn("Cannot write {path}: {error}", { path, error })
      );
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
