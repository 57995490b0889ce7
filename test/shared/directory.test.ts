import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDirectory } from "../../shared/directory.ts";

describe("the data directory", () => {
  let root = "";
  before(async () => void (root = await mkdtemp(join(tmpdir(), "tidings-directory-"))));
  after(() => rm(root, { recursive: true, force: true }));

  it("is made with all that is missing above it, also by several at once, and left as it is if it is there", async () => {
    const path = join(root, "a", "b", "c");
    await Promise.all([makeDirectory(path), makeDirectory(path), makeDirectory(join(root, "a", "b", "d"))]);
    await makeDirectory(path);
    await makeDirectory("/");
    assert.ok((await stat(path)).isDirectory());
    await symlink(path, join(root, "link"));
    await makeDirectory(join(root, "link"));
  });

  it("is refused where it cannot be", async () => {
    await writeFile(join(root, "file"), "");
    await symlink(join(root, "nowhere"), join(root, "dangling"));
    await assert.rejects(makeDirectory(join(root, "file")), { code: "EEXIST" });
    await assert.rejects(makeDirectory(join(root, "file", "a")), { code: "ENOTDIR" });
    await assert.rejects(makeDirectory(join(root, "dangling")), { code: "EEXIST" });
  });

  it("is refused, and not tried for ever, where the directory above takes none", {
    skip: existsSync("/proc/self") ? false : "there is no /proc",
  }, async () => {
    await assert.rejects(makeDirectory("/proc/tidings"), { code: "ENOENT" });
    await assert.rejects(makeDirectory("/proc/tidings/data"), { code: "ENOENT" });
  });
});
