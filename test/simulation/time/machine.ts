// Virtual time, and processes in it. Code that waits for a timer, a broker or a callback waits for a task here. One task runs at
// a time, then the microtasks that follow from it, then the next task. So a seed decides the whole run, and a process can be
// stopped and killed at any await: its tasks are held back, or never run.
import { AsyncLocalStorage } from "node:async_hooks";

export interface Task {
  readonly at: number;
  readonly order: number;
  /** The process whose event loop runs it; undefined for the world outside. */
  readonly owner: SimProcess | undefined;
  readonly what: string;
  readonly run: () => void;
  cancelled: boolean;
}

export interface SimProcess {
  readonly name: string;
  readonly index: number;
  state: "running" | "stopped" | "dead";
  /** Tasks that came due while the process was stopped. */
  held: Task[];
}

const FILES: ReadonlySet<string> = new Set(["FSReqPromise", "FSReqCallback", "CloseReq", "FileHandleCloseReq"]);
const realSetImmediate = setImmediate;
const current = new AsyncLocalStorage<SimProcess>();

/** The simulated process whose code runs now. */
export function currentProcess(): SimProcess | undefined {
  return current.getStore();
}

export class Machine {
  /** Ms since 1970, with fractions. */
  now: number;
  steps = 0;
  /** A hash of all steps in order; two runs of a seed have the same. */
  trace = 0x811c9dc5;
  readonly #tasks: Task[] = [];
  #order = 0;
  #processes = 0;
  /** Work of real threads, such as ciphers, which takes no virtual time. */
  outside = 0;
  /** Called with each step as a line. */
  onStep: ((line: string) => void) | undefined;

  constructor(now: number) {
    this.now = now;
  }

  newProcess(name: string): SimProcess {
    return { name, index: ++this.#processes, state: "running", held: [] };
  }

  after(ms: number, owner: SimProcess | undefined, what: string, run: () => void): Task {
    return this.at(this.now + Math.max(0, ms), owner, what, run);
  }

  at(at: number, owner: SimProcess | undefined, what: string, run: () => void): Task {
    const task: Task = { at: Math.max(at, this.now), order: this.#order++, owner, what, run, cancelled: false };
    push(this.#tasks, task);
    return task;
  }

  /** Waits in the world outside, ms of virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, undefined, "sleep", resolve));
  }

  stop(process: SimProcess): void {
    if (process.state === "running") process.state = "stopped";
  }

  /** Wakes a process. It runs what came due meanwhile: timers first, or answers first. */
  wake(process: SimProcess, timersFirst: boolean): void {
    if (process.state !== "stopped") return;
    process.state = "running";
    const held = process.held.splice(0);
    const timers = held.filter(({ what }) => what === "timer");
    const others = held.filter(({ what }) => what !== "timer");
    for (const task of timersFirst ? [...timers, ...others] : [...others, ...timers]) {
      if (!task.cancelled) push(this.#tasks, requeued(task, this.now, this.#order++));
    }
  }

  kill(process: SimProcess): void {
    process.state = "dead";
    process.held = [];
  }

  /** Runs tasks until `until` yields true, or no task is left. */
  async run(until: () => boolean): Promise<void> {
    while (!until()) {
      const task = pop(this.#tasks);
      if (task === undefined) return;
      if (task.cancelled || task.owner?.state === "dead") continue;
      this.now = Math.max(this.now, task.at);
      if (task.owner?.state === "stopped") {
        task.owner.held.push(task);
        continue;
      }
      this.steps++;
      this.note(`${task.owner?.index ?? 0} ${task.what}`);
      if (task.owner === undefined) current.exit(task.run);
      else current.run(task.owner, task.run);
      // Files and ciphers take no virtual time: the step waits until they are done.
      do {
        await new Promise<void>((resolve) => void realSetImmediate(resolve));
      } while (this.outside > 0 || process.getActiveResourcesInfo().some((what) => FILES.has(what)));
    }
  }

  /** Adds a line to the trace. */
  note(line: string): void {
    let hash = this.trace ^ Math.floor(this.now * 1_000);
    for (let index = 0; index < line.length; index++) hash = Math.imul(hash ^ line.charCodeAt(index), 0x01000193);
    this.trace = hash;
    this.onStep?.(`${this.now.toFixed(3)} ${line}`);
  }
}

/** A held task keeps its identity, so that `clearTimeout` cancels it. */
function requeued(task: Task, at: number, order: number): Task {
  return Object.assign(task, { at, order });
}

function before(one: Task, other: Task): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

function push(heap: Task[], task: Task): void {
  let at = heap.length;
  heap.push(task);
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    if (!before(task, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = task;
}

function pop(heap: Task[]): Task | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
