// A small disk for one test: a tmpfs, which only root may mount. It is unmounted when it is closed or when the process ends.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Makes it larger, or smaller, in MiB. */
  resize(mebibytes: number): void;
}

/** The reason why no disk can be mounted here; undefined if one can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== "linux") return "a tmpfs is Linux's";
  if (process.getuid?.() !== 0) return "only root may mount a tmpfs";
  try {
    using _disk = openSmallDisk(1);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** @throws {Error} with mount's own words if it cannot be mounted */
export function openSmallDisk(mebibytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "tidings-small-disk-"));
  let mounted = false;
  const close = () => {
    if (mounted) run("umount", ["-l", path]);
    mounted = false;
    process.removeListener("exit", close);
    rmSync(path, { recursive: true, force: true });
  };
  try {
    run("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tidings-test", path]);
    mounted = true;
  } catch (error) {
    close();
    throw error;
  }
  process.once("exit", close);
  return {
    path,
    resize: (size) => run("mount", ["-o", `remount,size=${size}m`, path]),
    [Symbol.dispose]: close,
  };
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}
