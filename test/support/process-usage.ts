// CPU, memory and load of a process and of the machine, as Linux tells them in /proc.
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";

/** A tick of utime and stime in /proc/PID/stat, s: USER_HZ, 100 on every Linux that Node runs on. */
const TICK_S = 1 / 100;

/** CPU seconds a process has used so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_S;
}

/** A process's resident memory, MB: now, and at most so far. */
export async function megabytes(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024 / 1e6;
  return { now: field("VmRSS"), peak: field("VmHWM") };
}

/** Sets `peak` to the present memory. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
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
