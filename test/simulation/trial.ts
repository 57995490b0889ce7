// One run of one seed: actors act and faults happen for a while; then all faults end, and everything that is owed must come.
// The same seed is the same run.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogError } from "../../core/log/log.ts";
import { type Actors, publisher, registrar, subscriber } from "./actors.ts";
import { audit, type Case, owed, type Violation } from "./auditor.ts";
import { Books, type Pair } from "./books.ts";
import { CoreProcess, directoryOf } from "./core-process.ts";
import { Edge } from "./edge.ts";
import { breakThings, type Fleet } from "./faults.ts";
import { useVirtualTime } from "./time/globals.ts";
import { Broker } from "./kafka/broker.ts";
import { Machine } from "./time/machine.ts";
import { type Plan, planOf } from "./plan.ts";
import { Random } from "../support/load/random.ts";
import { NO_SABOTAGE, type Sabotage } from "./sabotage.ts";
import { createSubscribers } from "./subscribers.ts";

export interface TrialOptions {
  readonly seed: number;
  readonly sabotage?: Sabotage;
  /** Changes the seed's plan. */
  readonly adjust?: (plan: Plan) => Plan;
  readonly onStep?: (line: string) => void;
  /** Called with what the auditor judges. */
  readonly onEnd?: (one: Case) => void;
}

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  /** In virtual time. */
  readonly seconds: number;
  readonly attempts: number;
  readonly faults: number;
  /** Equal for two runs of a seed. */
  readonly trace: number;
  readonly violations: readonly Violation[];
}

/** Files here are in memory, if the system has it. */
const MEMORY = "/dev/shm";
const BEGINS_AT = Date.UTC(2026, 0, 1);
/** How long owed messages may take after all faults have ended. */
const SETTLE_MS = 120_000;
const LONGER_MS = 11_000;
const LOOK_MS = 1_000;
/** A run watches this long after the last message for more. */
const QUIET_MS = 2_000;

export async function runTrial(
  { seed, sabotage = NO_SABOTAGE, adjust = (plan) => plan, onStep, onEnd }: TrialOptions,
): Promise<Outcome> {
  const plan = adjust(sabotage.adjust(planOf(seed)));
  const machine = new Machine(BEGINS_AT);
  machine.onStep = onStep;
  const books = new Books();
  const chance = (name: string) => new Random(seed, name);
  const broker = new Broker({
    machine,
    random: chance("broker"),
    messagesFrom: plan.messagesFrom,
    fences: sabotage.fences,
  });
  const subscribers = createSubscribers({ machine, random: chance("subscribers"), books });
  const root = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "tidings-simulation-"));
  const cores: CoreProcess[] = [];
  let names = 0;
  let lives = 0;

  const fleet: Fleet = {
    cores,
    nextName: () => `core-${++names}`,
    start(name) {
      const random = chance(`${name} ${++lives}`);
      const directory = directoryOf(root, name);
      // Some cores come back without their files.
      if (random.chance(0.1)) rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory, { recursive: true });
      const core = new CoreProcess({
        machine,
        broker,
        random,
        name,
        directory,
        partitions: plan.partitions,
        settings: plan.settings,
        networkMs: plan.networkMs,
        lagMs: plan.lagMs,
        transport: (link, name) => subscribers.transport(link, name),
        outbound: (link) => subscribers.outbound(link),
        sabotage,
        marks: books.marks,
        onFatal: (one, error) => onFatal(one, error),
      });
      core.link.breaks = plan.breaks;
      cores.push(core);
      return core;
    },
  };

  function onFatal(core: CoreProcess, error: Error): void {
    machine.note(`${core.name} ends: ${error.message}`);
    books.fault(`fatal ${core.name}`, machine.now, machine.now);
    // A core that cannot start without its brokers is started again.
    if (error instanceof LogError && error.code === "unavailable" && !core.ready) return;
    books.fatal.push({ core: core.name, at: machine.now, error });
  }

  const onUncaught = (error: unknown) => void books.uncaught.push(error);
  process.on("unhandledRejection", onUncaught);
  const busy = chance("busy");
  const repair = sabotage.patch();
  const restore = useVirtualTime(machine, () => plan.busyMs === 0 ? 0 : busy.unit() ** 4 * plan.busyMs);
  let over = false;
  try {
    void live().then(() => over = true, (error: unknown) => {
      books.uncaught.push(error);
      over = true;
    });
    await machine.run(() => over);
    const judged = { books, broker, plan, now: machine.now };
    onEnd?.(judged);
    const violations = audit(judged);
    return {
      seed,
      steps: machine.steps,
      seconds: (machine.now - BEGINS_AT) / 1_000,
      attempts: books.pairs.reduce((sum, pair) => sum + pair.attempts.length, 0),
      faults: books.faults.length,
      trace: machine.trace >>> 0,
      violations,
    };
  } finally {
    for (const core of cores) if (core.alive) core.kill();
    restore();
    repair();
    process.off("unhandledRejection", onUncaught);
    rmSync(root, { recursive: true, force: true });
  }

  async function live(): Promise<void> {
    for (let index = 0; index < plan.cores; index++) fleet.start(fleet.nextName());
    while (!cores.some(({ ready }) => ready)) await machine.sleep(50);
    const until = machine.now + plan.lastsMs;
    const edge = new Edge({ machine, random: chance("edge"), books, cores: () => cores });
    // The actors go on while the last fault lasts.
    const isOver = () =>
      machine.now >= until && (machine.now >= until + LONGER_MS || books.faults.every(({ to }) => to < Infinity));
    const actors: Actors = { machine, edge, books, subscribers, plan, isOver };
    for (const pair of plan.pairs) books.addPair({ ...pair, attempts: [] } satisfies Pair);
    await Promise.all([
      ...books.pairs.map((pair) => subscriber(pair, actors, chance(`subscriber ${pair.name}`))),
      ...plan.topics.map((topic) => publisher(topic, actors, chance(`publisher ${topic}`))),
      ...plan.topics.map((topic) => registrar(topic, actors, chance(`registrar ${topic}`))),
      breakThings({ machine, broker, books, plan, random: chance("faults"), fleet, until }),
      keepAlive(isOver),
    ]);
    // Wait for the end of the last fault.
    while (books.faults.some(({ to }) => to === Infinity)) await machine.sleep(LOOK_MS);
    await settle();
  }

  /** Starts a core again if all have ended by themselves, as a supervisor does. */
  async function keepAlive(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await machine.sleep(500);
      const up = cores.filter(({ alive }) => alive);
      if (up.length === 0 && books.faults.every(({ to }) => to < machine.now)) await revive();
    }
  }

  async function revive(): Promise<void> {
    const fault = books.fault("kill, found dead", machine.now);
    const core = fleet.start(fleet.nextName());
    while (core.alive && !core.ready) await machine.sleep(50);
    fault.to = machine.now;
  }

  async function settle(): Promise<void> {
    for (const pair of books.pairs) subscribers.manners.set(pair, "well");
    for (const core of cores) if (core.alive) core.wake();
    const end = machine.now + SETTLE_MS;
    await machine.sleep(LOOK_MS);
    while (machine.now < end) {
      if (!cores.some(({ alive }) => alive)) await revive();
      if (owed({ books, broker }) === 0) break;
      await machine.sleep(LOOK_MS);
    }
    await machine.sleep(QUIET_MS);
  }
}
