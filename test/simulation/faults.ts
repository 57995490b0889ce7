// Faults of a simulated run: cores are killed, put to sleep and woken, brokers stall, connections are cut, cores join and leave.
import type { Books } from "./books.ts";
import type { CoreProcess } from "./core-process.ts";
import { type Broker, NODES } from "./kafka/broker.ts";
import type { Machine } from "./time/machine.ts";
import type { Deed, Plan } from "./plan.ts";
import type { Random } from "../support/load/random.ts";

/** The cores of a run, and how to start one. */
export interface Fleet {
  readonly cores: readonly CoreProcess[];
  /** Starts a core under a dead one's name or a new one. The fault lasts until it is ready. */
  start(name: string): CoreProcess;
  nextName(): string;
}

export interface Saboteur {
  readonly machine: Machine;
  readonly broker: Broker;
  readonly books: Books;
  readonly plan: Plan;
  readonly random: Random;
  readonly fleet: Fleet;
  readonly until: number;
}

export async function breakThings(saboteur: Saboteur): Promise<void> {
  const { machine, plan, random, until, broker } = saboteur;
  while (machine.now < until) {
    await machine.sleep(random.between(0.2, 2) * plan.faultMs);
    if (machine.now >= until) return;
    if (random.chance(0.3)) broker.compact();
    const deed = DEEDS[random.pick(plan.deeds)](saboteur);
    // Some faults overlap.
    if (!random.chance(plan.overlaps)) await deed;
  }
}

const DEEDS: Readonly<Record<Deed, (saboteur: Saboteur) => Promise<void>>> = {
  kill,
  sleep: sleepAndWake,
  stall,
  cut,
  leave,
  join,
};
const MOST_CORES = 3;

function running({ fleet, random }: Saboteur): CoreProcess | undefined {
  const up = fleet.cores.filter(({ alive, process, leaving }) => alive && process.state === "running" && !leaving);
  return up.length === 0 ? undefined : random.pick(up);
}

/** How long a fault lasts: sometimes longer than a session. */
function awhile({ random, plan }: Saboteur): number {
  return random.chance(plan.longDeeds) ? random.between(plan.longMs, plan.longMs * 1.5) : random.between(10, 3_000);
}

async function kill(saboteur: Saboteur): Promise<void> {
  const { machine, books, random } = saboteur;
  const core = running(saboteur);
  if (core === undefined) return;
  const fault = books.fault(`kill ${core.name}`, machine.now);
  core.kill();
  await machine.sleep(random.between(0, 2_000));
  await begin(saboteur, core.name);
  fault.to = machine.now;
}

/** Starts a core and waits until it is ready, or dead. */
async function begin({ machine, fleet }: Saboteur, name: string): Promise<void> {
  const core = fleet.start(name);
  while (core.alive && !core.ready) await machine.sleep(50);
}

async function sleepAndWake(saboteur: Saboteur): Promise<void> {
  const { machine, books, random, fleet, plan } = saboteur;
  const core = running(saboteur);
  if (core === undefined) return;
  const fault = books.fault(`stop ${core.name}`, machine.now);
  core.stop();
  await machine.sleep(awhile(saboteur));
  if (plan.cores === 1 && random.chance(0.7)) {
    // Another core takes the sleeper's place, and the sleeper does not know it when it wakes.
    await begin(saboteur, fleet.nextName());
    if (random.chance(0.5)) await machine.sleep(random.delay(2_000));
  }
  core.wake();
  fault.to = machine.now;
}

async function stall(saboteur: Saboteur): Promise<void> {
  const { machine, books, random, broker } = saboteur;
  const until = machine.now + awhile(saboteur);
  const nodes = random.chance(0.5) ? NODES : [random.pick(NODES)];
  const fault = books.fault(`stall ${nodes.join()}`, machine.now);
  for (const node of nodes) broker.stall(node, until);
  await machine.sleep(until - machine.now);
  fault.to = machine.now;
}

async function cut(saboteur: Saboteur): Promise<void> {
  const { machine, books } = saboteur;
  const core = running(saboteur);
  if (core === undefined) return;
  const fault = books.fault(`cut ${core.name}`, machine.now);
  core.link.cutUntil = machine.now + awhile(saboteur);
  await machine.sleep(core.link.cutUntil - machine.now);
  fault.to = machine.now;
}

/** Ends a core in order, and mostly starts another. */
async function leave(saboteur: Saboteur): Promise<void> {
  const { machine, books, random, fleet } = saboteur;
  const core = running(saboteur);
  if (core === undefined) return;
  const fault = books.fault(`leave ${core.name}`, machine.now);
  await new Promise<void>((resolve) => core.leave(resolve));
  if (random.chance(0.7) || !fleet.cores.some(({ alive }) => alive)) await begin(saboteur, core.name);
  fault.to = machine.now;
}

async function join(saboteur: Saboteur): Promise<void> {
  const { machine, books, fleet } = saboteur;
  if (fleet.cores.filter(({ alive }) => alive).length >= MOST_CORES) return;
  const fault = books.fault("join", machine.now);
  await begin(saboteur, fleet.nextName());
  fault.to = machine.now;
}
