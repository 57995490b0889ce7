import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logContract } from "../../contract/log.ts";

logContract("libsql", {
  skip: false,
  skipSlow: false,
  fences: false,
  async newPlace(limits) {
    const directory = await mkdtemp(join(tmpdir(), "tidings-log-"));
    return {
      recipe: { kind: "libsql", directory, ...limits },
      remove: () => rm(directory, { recursive: true, force: true, maxRetries: 3 }),
    };
  },
});
