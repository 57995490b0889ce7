// How long code takes by the processor, which says the same on a busy machine as on an idle one.

/** The processor's time of this process, ms: exact to some microseconds, where that of the thread alone has steps of milliseconds. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

type Task = () => unknown;

/** A measurement has to be so much longer than the clock is wrong, ms. */
const LONG_ENOUGH_MS = 0.1;
const LEAST_ROUNDS = 2;
const MOST_ROUNDS = 25;

/** Runs a task so often; the time of all runs together, ms. A promise is awaited. */
export async function timeOf(task: Task, times = 1): Promise<number> {
  const begun = cpuMs();
  for (let n = 0; n < times; n++) {
    const result = task();
    if (result instanceof Promise) await result;
  }
  return cpuMs() - begun;
}

/**
 * How many times as long each task takes as the first one, by the least time of each. What disturbs a run (the collector, a compiler, a cache)
 * makes it longer and never shorter. So the rounds go on until the last ratio is at most `most`, or MOST_ROUNDS have shown that it is not.
 */
export async function ratiosOf(tasks: readonly Task[], most: number): Promise<number[]> {
  const times = await timesFor(tasks[0]!);
  const least = tasks.map(() => Infinity);
  for (let round = 1;; round++) {
    for (const [place, task] of tasks.entries()) least[place] = Math.min(least[place]!, await timeOf(task, times));
    // A refusal at once takes no time, whatever the length.
    const ratios = least.map((time) => time / Math.max(least[0]!, LONG_ENOUGH_MS / 2));
    if (round >= LEAST_ROUNDS && (ratios.at(-1)! <= most || round >= MOST_ROUNDS)) return ratios;
  }
}

/** How often a task has to run to take long enough; by then it is compiled. */
async function timesFor(task: Task): Promise<number> {
  for (let times = 1;; times *= 2) {
    if (times >= 1 << 16 || await timeOf(task, times) >= LONG_ENOUGH_MS) return times;
  }
}
