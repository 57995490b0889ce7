// What the embedded log does to its files, and what happens to it when they cannot be had. What every log does is the
// contract's matter (test/contract/log.ts).
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { encodeEvent } from "../../../../core/state/events.ts";
import { subscriptionIdOf } from "../../../../core/state/ids.ts";
import { openLibsqlLog } from "../../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../../core/log/log.ts";
import { openCoreRig, operationId, TOPIC, withDirectory } from "../../../support/rigs/core-rig.ts";
import { eventually, never } from "../../../support/eventually.ts";
import type { LogRecipe } from "../../../support/rigs/log-recipe.ts";

const APPENDER = fileURLToPath(new URL("../../../support/rigs/append-until-killed.ts", import.meta.url));
const CLOSER = fileURLToPath(new URL("../../../support/rigs/close-while-deleting.ts", import.meta.url));
const DAY_MS = 86_400_000;
const CALLBACK = "http://127.0.0.1:9/callback";

const limits = { retentionMs: 7 * DAY_MS, maxMessageBytes: 1_000_000 };
const open = (directory: string, more: Partial<Parameters<typeof openLibsqlLog>[0]> = {}) =>
  openLibsqlLog({ directory, ...limits, onFatal: assert.fail, ...more });

describe("A2.5 who may have the files", { timeout: 60_000 }, () => {
  it("A2.5 a second process is refused with a sentence that says why, and the first goes on", async () => {
    await withDirectory(async (directory) => {
      const log = await open(directory);
      const recipe: LogRecipe = { kind: "libsql", directory, ...limits };
      const child = spawn(process.execPath, [APPENDER, JSON.stringify(recipe)], { stdio: ["ignore", "pipe", "pipe"] });
      let errors = "";
      child.stderr.on("data", (part: Buffer) => void (errors += part.toString()));
      const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
      const [code] = await once(child, "close") as [number | null];
      clearTimeout(late);
      assert.equal(code, 1, errors);
      assert.match(errors, /Cannot open .*lock\.db: another process is using this data directory/);
      assert.ok(errors.includes(directory));
      await log.append("messages", { key: "k", value: Buffer.from("x") });
      await log.close();
    });
  });

  it("A2.5 the lock is free as soon as the log is closed", async () => {
    await withDirectory(async (directory) => {
      for (let n = 0; n < 10; n++) await (await open(directory)).close();
    });
  });

  for (const name of ["a b", "50%25", "100%", "what?x=1", "#1", "größe"]) {
    it(`a directory may be called ${JSON.stringify(name)}`, async () => {
      await withDirectory(async (parent) => {
        const directory = join(parent, name);
        const log = await open(directory);
        await log.append("messages", { key: "k", value: Buffer.from("x") });
        await log.close();
        assert.deepEqual(await readdir(parent), [name]);
        assert.ok(existsSync(join(directory, "log.db")));
      });
    });
  }

  it("a directory that cannot be made is named in one sentence", async () => {
    await withDirectory(async (parent) => {
      const file = join(parent, "file");
      await writeFile(file, "");
      await assert.rejects(open(file), { code: "unavailable", message: /^Cannot open the log in .*file: / });
      await assert.rejects(open(join(file, "below")), { code: "unavailable", message: /^Cannot open the log in / });
    });
  });

  it("a file that is no database is named in one sentence, and left as it is", async () => {
    await withDirectory(async (directory) => {
      const text = "this is somebody's diary".repeat(400);
      await writeFile(join(directory, "log.db"), text);
      await assert.rejects(open(directory), {
        code: "unavailable",
        message: /^Cannot open the log in .*: .*not a database/,
      });
      assert.equal((await stat(join(directory, "log.db"))).size, text.length);
      await rm(join(directory, "log.db"));
      await (await open(directory)).close();
    });
  });

  it("an unwritable directory is refused in one sentence", async (test) => {
    await withDirectory(async (parent) => {
      const directory = join(parent, "data");
      await mkdir(directory);
      await chmod(directory, 0o500);
      if (canWrite(directory) && !mountTmpfs(directory, "ro")) return test.skip("root, and it may not mount");
      try {
        await assert.rejects(open(directory), { code: "unavailable", message: /^Cannot open the log in .*data/ });
      } finally {
        unmount(directory);
        await chmod(directory, 0o700);
      }
    });
  });
});

describe("A2.5 a full disk", { timeout: 60_000 }, () => {
  it("A2.5 full: appends are refused, nothing acknowledged is lost, and it goes on when there is room", async (test) => {
    await withDirectory(async (directory) => {
      if (!mountTmpfs(directory, "size=12m")) return test.skip("it may not mount a small tmpfs");
      try {
        // So that there is room to make later.
        await writeFile(join(directory, "ballast"), Buffer.alloc(6 * 1024 * 1024));
        const log = await open(directory);
        const acknowledged: number[] = [];
        let refused = 0;
        for (let n = 0; refused < 20; n++) {
          try {
            const { offset } = await log.append("messages", { key: "k", value: Buffer.alloc(50_000, n) });
            acknowledged.push(offset);
          } catch (error) {
            assert.equal((error as { code: string }).code, "full");
            refused++;
          }
        }
        assert.ok(acknowledged.length > 5, `${acknowledged.length} fitted`);
        await assertThere(log, acknowledged);
        await rm(join(directory, "ballast"));
        for (let n = 0; n < 10; n++) {
          const { offset } = await log.append("messages", { key: "k", value: Buffer.alloc(50_000, n) });
          acknowledged.push(offset);
        }
        assert.equal(new Set(acknowledged).size, acknowledged.length);
        await log.close();
        const again = await open(directory);
        await assertThere(again, acknowledged);
        await again.close();
      } finally {
        unmount(directory);
      }
    });
  });

  it("A2.5 full under the whole core: no process ends, and what was accepted is folded when there is room", async (test) => {
    await withDirectory(async (directory) => {
      if (!mountTmpfs(directory, "size=12m")) return test.skip("it may not mount a small tmpfs");
      try {
        await using rig = await openCoreRig({ directory });
        await rig.intend({ callback: `${CALLBACK}/before`, verified: true });
        // The last free byte goes while operations come in, so that log and replica meet the full disk in any order.
        const accepted: string[] = [];
        let refused = 0;
        for (let n = 0; refused < 20; n++) {
          const callback = `${CALLBACK}/${n}`;
          const id = operationId();
          const time = Date.now();
          const event = { type: "intent", id, time, mode: "subscribe", topic: TOPIC, callback, end: 0 } as const;
          try {
            await rig.log.append("events", {
              key: subscriptionIdOf(TOPIC, callback),
              value: encodeEvent({ ...event, verifyToken: "x".repeat(4_000) }),
            });
            accepted.push(callback);
          } catch (error) {
            assert.equal((error as { code: string }).code, "full");
            refused++;
          }
          if (n === 20) await fillUp(directory);
        }
        await never("a fatal error", () => rig.failures[0]?.message, 300);
        await rm(join(directory, "ballast"));
        await eventually("all that was accepted is folded", async () => {
          for (const callback of accepted) {
            if ((await rig.subscription(callback))?.pending.length !== 1) return false;
          }
          return true;
        });
        assert.deepEqual(rig.failures, []);
        await rig.publish(TOPIC, "after");
        await eventually("delivery", () => rig.transport.to("/callback/before").includes("after"));
      } finally {
        unmount(directory);
      }
    });
  });

  it("A2.5 a start without room says so in one sentence", async (test) => {
    await withDirectory(async (directory) => {
      if (!mountTmpfs(directory, "size=1m")) return test.skip("it may not mount a small tmpfs");
      try {
        await fillUp(directory);
        await assert.rejects(open(directory), {
          code: "full",
          message: /^Cannot open the log in .*: there is no room on its disk$/,
        });
        await rm(join(directory, "ballast"));
        await (await open(directory)).close();
      } finally {
        unmount(directory);
      }
    });
  });
});

describe("A2.5 retention", { timeout: 60_000 }, () => {
  it("A2.5 what is older than the retention is deleted, and its bytes are given back to the disk", async () => {
    await withDirectory(async (directory) => {
      let time = 1_700_000_000_000;
      const log = await open(directory, { retentionMs: 60_000, clock: () => time, sweepMs: 50 });
      const body = Buffer.alloc(100_000, 7);
      const append = (key: string) => log.append("messages", { key, value: body });
      await Promise.all(Array.from({ length: 300 }, () => append("old")));
      time += 30_000;
      await Promise.all(Array.from({ length: 20 }, () => append("young")));
      const before = await bytesOf(directory);
      assert.ok(before > 32_000_000, `${before} bytes`);
      time += 31_000;
      await eventually("the old ones are gone", async () => await log.start("messages", 0) === 300);
      await eventually("the bytes are gone", async () => await bytesOf(directory) < 4_000_000, {
        seen: () => execFileSync("ls", ["-l", directory]).toString(),
      });
      const { records, gap } = await log.read("messages", 0, 0, { maxBytes: 1e9 });
      assert.deepEqual(gap, { from: 0, to: 300 });
      assert.deepEqual(records.map(({ key }) => key), Array.from({ length: 20 }, () => "young"));
      await log.close();
    });
  });

  it("A2.5 a log that is closed in the middle of deleting ends, and leaves the rest for the next", async () => {
    await withDirectory(async (directory) => {
      // In a process of its own, which ends only when nothing runs any more.
      const child = spawn(process.execPath, [CLOSER, directory], { stdio: ["ignore", "ignore", "pipe"] });
      let errors = "";
      child.stderr.on("data", (part: Buffer) => void (errors += part.toString()));
      const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
      const [code, signal] = await once(child, "close") as [number | null, string | null];
      clearTimeout(late);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, errors);
      let time = 1_700_000_010_000;
      const log = await open(directory, { retentionMs: 1_000, clock: () => time++, sweepMs: 20 });
      await eventually("the rest is gone", async () => await log.start("messages", 0) === 20_000);
      await log.close();
    });
  });

  it("A2.5 offsets of what was deleted are never used again, even when nothing is left", async () => {
    await withDirectory(async (directory) => {
      let time = 1_700_000_000_000;
      const options = { retentionMs: 1_000, clock: () => time, sweepMs: 20 };
      const log = await open(directory, options);
      for (let n = 0; n < 5; n++) await log.append("messages", { key: "k", value: Buffer.from("x") });
      time += 10_000;
      await eventually("nothing is left", async () => await log.start("messages", 0) === 5);
      await log.close();
      const again = await open(directory, options);
      assert.equal(await again.end("messages", 0), 5);
      assert.equal((await again.append("messages", { key: "k", value: Buffer.from("x") })).offset, 5);
      await again.close();
    });
  });

  it("A2.5 events are kept a day, however short the retention", async () => {
    await withDirectory(async (directory) => {
      let time = 1_700_000_000_000;
      const log = await open(directory, { retentionMs: 1_000, clock: () => time, sweepMs: 20 });
      await log.append("events", { key: "k", value: Buffer.from("x") });
      await log.append("messages", { key: "k", value: Buffer.from("x") });
      time += DAY_MS - 1_000;
      await eventually("the message is gone", async () => await log.start("messages", 0) === 1);
      assert.equal(await log.start("events", 0), 0);
      time += 2_000;
      await eventually("the event is gone", async () => await log.start("events", 0) === 1);
      await log.close();
    });
  });

  it("an operation's record may be larger than the largest message", async () => {
    await withDirectory(async (directory) => {
      const log = await open(directory, { maxMessageBytes: 100 });
      await assert.rejects(log.append("messages", { key: "k", value: Buffer.alloc(101) }), { code: "too_large" });
      await log.append("events", { key: "k", value: Buffer.alloc(60_000) });
      await log.close();
    });
  });
});

async function assertThere(log: Log, offsets: readonly number[]): Promise<void> {
  const found = new Set<number>();
  const end = await log.end("messages", 0);
  for (let from = 0; from < end;) {
    const chunk = await log.read("messages", 0, from, { maxBytes: 1e6 });
    for (const { offset } of chunk.records) found.add(offset);
    from = chunk.next;
  }
  assert.deepEqual([...found].toSorted((a, b) => a - b), offsets, "all that was acknowledged, and no more");
}

async function fillUp(directory: string): Promise<void> {
  let data = Buffer.alloc(0);
  for (let size = 1024 * 1024; size >= 1_024;) {
    data = Buffer.concat([data, Buffer.alloc(size)]);
    try {
      await writeFile(join(directory, "ballast"), data);
    } catch {
      data = data.subarray(0, data.length - size);
      size /= 2;
    }
  }
}

async function bytesOf(directory: string): Promise<number> {
  const sizes = await Promise.all((await readdir(directory)).map((name) => stat(join(directory, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

function canWrite(directory: string): boolean {
  try {
    execFileSync("touch", [join(directory, "probe")], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A small disk of its own; false if this user may not mount one. */
function mountTmpfs(directory: string, options: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", directory], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function unmount(directory: string): void {
  try {
    execFileSync("umount", ["-l", directory], { stdio: "ignore" });
  } catch {
    // It was not mounted.
  }
}
