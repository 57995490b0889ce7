// The data directory is for the hub's own user alone: messages and subscriptions stand in it in clear.
import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { configure, reset } from "@logtape/logtape";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { openMemberFile } from "../../../core/member-file.ts";
import { openReplica } from "../../../core/replica/replica.ts";
import { keepDirectoryPrivate } from "../../../core/sqlite/private-file.ts";
import { makeDirectory } from "../../../shared/directory.ts";
import { eventually } from "../../support/eventually.ts";

const RETENTION_MS = 7 * 86_400_000;

describe("ARCHITECTURE §5 what is in the data directory", { skip: process.platform === "win32" }, () => {
  let root = "";
  let umask = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "tidings-private-"));
    // The most that a machine may allow others.
    umask = process.umask(0);
  });
  after(async () => {
    process.umask(umask);
    await rm(root, { recursive: true, force: true });
  });

  const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
  const modesIn = async (directory: string) => {
    const modes: Record<string, string> = {};
    for (const name of await readdir(directory)) modes[name] = (await modeOf(join(directory, name))).toString(8);
    return modes;
  };

  /** Opens all files of a core there, writes to each, looks at them while they are open, and closes them. */
  async function use(directory: string): Promise<Record<string, string>> {
    const log = await openLibsqlLog({
      directory,
      retentionMs: RETENTION_MS,
      maxMessageBytes: 1_000_000,
      onFatal: assert.fail,
    });
    const replica = await openReplica({
      path: join(directory, "replica.db"),
      log,
      clock: Date.now,
      onFatal: assert.fail,
      retentionMs: RETENTION_MS,
    });
    const member = await openMemberFile(join(directory, "member.json"), log.identity);
    member.joinedAs("member-1");
    await log.append("messages", { key: "k", value: Buffer.from("not for others") });
    await eventually("the member file", async () => (await readdir(directory)).includes("member.json"));
    const modes = await modesIn(directory);
    await replica.close();
    await log.close();
    return modes;
  }

  it("is made for its user alone: the directory 0700, each file 0600, what SQLite adds too", async () => {
    const directory = join(root, "new", "data");
    await makeDirectory(directory);
    assert.equal(await modeOf(join(root, "new")), 0o700);
    assert.equal(await modeOf(directory), 0o700);
    const modes = await use(directory);
    for (
      const name of ["log.db", "log.db-wal", "log.db-shm", "replica.db", "replica.db-wal", "lock.db", "member.json"]
    ) {
      assert.equal(modes[name], "600", `${name}: ${JSON.stringify(modes)}`);
    }
    assert.deepEqual(new Set(Object.values(modes)), new Set(["600"]), JSON.stringify(modes));
  });

  it("is tightened when it is opened, if an earlier version left it open to others", async () => {
    const directory = join(root, "old");
    await makeDirectory(directory);
    await use(directory);
    for (const name of await readdir(directory)) await chmod(join(directory, name), 0o644);
    const modes = await use(directory);
    assert.deepEqual(new Set(Object.values(modes)), new Set(["600"]), JSON.stringify(modes));
  });

  it("is in a directory that others may not enter or list, if nothing but the hub's is in it", async () => {
    const directory = join(root, "own");
    await makeDirectory(directory);
    await use(directory);
    await chmod(directory, 0o755);
    await keepDirectoryPrivate(directory);
    assert.equal(await modeOf(directory), 0o700);
  });

  it("has a WARN if others may enter or list a directory with something else in it, which is not changed", async () => {
    const lines: string[] = [];
    await configure({
      sinks: { kept: (record) => void lines.push(`${record.level} ${record.message.join("")}`) },
      loggers: [{ category: "tidings", sinks: ["kept"] }, { category: ["logtape", "meta"], sinks: [] }],
    });
    try {
      const directory = join(root, "wide");
      await makeDirectory(directory);
      await keepDirectoryPrivate(directory);
      assert.deepEqual(lines, []);
      await writeFile(join(directory, "another's"), "");
      await chmod(directory, 0o755);
      await keepDirectoryPrivate(directory);
      assert.match(lines.join("\n"), /^warning .*data directory .*wide.*: its mode is .*0755.*chmod 700 it$/);
      assert.equal(await modeOf(directory), 0o755);
    } finally {
      await reset();
    }
  });
});
