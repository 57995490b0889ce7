// CPU and memory of a process with its descendants, and load of the machine, as Linux tells them in /proc.
import { readdir, readFile, writeFile } from "node:fs/promises";
import os from "node:os";

/** A tick of utime and stime in /proc/PID/stat, s: USER_HZ, 100 on every Linux that Node runs on. */
const TICK_S = 1 / 100;

/** CPU seconds that a process and its descendants have used so far, those that have ended included. */
export async function cpuSeconds(pid: number): Promise<number> {
  const ticks = async (of: number) => {
    const fields = await statOf(of);
    // utime and stime, then the same of children that have ended.
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  };
  return await sumOf(pid, ticks) * TICK_S;
}

/** The resident memory of a process and its descendants, MB: now, and at most so far, which is the sum of each one's most. */
export async function megabytes(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const field = (name: string) => async (of: number) => {
    const status = await readFile(`/proc/${of}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024 / 1e6;
  };
  return { now: await sumOf(pid, field("VmRSS")), peak: await sumOf(pid, field("VmHWM")) };
}

/** Sets `peak` to the present memory. */
export async function resetPeak(pid: number): Promise<void> {
  for (const one of await treeOf(pid)) await writeFile(`/proc/${one}/clear_refs`, "5");
}

/** @throws {Error} if the process has ended; a descendant that has counts nothing */
async function sumOf(pid: number, figure: (pid: number) => Promise<number>): Promise<number> {
  const figures = (await treeOf(pid)).map((one) =>
    figure(one).catch((error: unknown) => {
      if (one === pid) throw error;
      return 0;
    })
  );
  return (await Promise.all(figures)).reduce((sum, one) => sum + one, 0);
}

/** A process and its descendants: what stands in front of a tier may be a wrapper that starts it. */
async function treeOf(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  await Promise.all(
    (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(async (name) => {
      const fields = await statOf(Number(name)).catch(() => []);
      parents.set(Number(name), Number(fields[1]));
    }),
  );
  const tree = [pid];
  for (const member of tree) tree.push(...[...parents].flatMap(([child, parent]) => parent === member ? [child] : []));
  return tree;
}

/** The fields of /proc/PID/stat after the program's name, which may have spaces. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Processes that ran or waited to, on the average of 1, 5 and 15 minutes. */
export function loadAverage(): string {
  return os.loadavg().map((average) => average.toFixed(1)).join(", ");
}

/** One line: processor, cores, memory, kernel. */
export function machine(): string {
  const cpus = os.cpus();
  const memory = Math.round(os.totalmem() / 2 ** 30);
  return `${cpus[0]?.model.trim()} × ${cpus.length}, ${memory} GiB, ${os.type()} ${os.release().split("-")[0]}`;
}

/** The version of an installed package. */
export async function versionOf(name: string): Promise<string> {
  const manifest = await readFile(new URL(`../../node_modules/${name}/package.json`, import.meta.url), "utf8");
  return String((JSON.parse(manifest) as { version: unknown }).version);
}
