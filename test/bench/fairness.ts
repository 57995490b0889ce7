// What a stranger costs others (ARCHITECTURE §4 "Fair shares"): for each pool twenty good clients, each with an address and a host of its
// own, alone and then beside an attacker at another address with about fifty times a share. What counts is their p99 with and without,
// what they lost, and what they were refused.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { quantile } from "./clock.ts";
import type { AttackReport, Order } from "./fairness/attacker.ts";
import { names } from "./fairness/names.ts";
import { createPerson } from "./fairness/person.ts";
import { CLIENTS, type OpenPool, type Outcome, type Pool, POOLS } from "./fairness/pools.ts";
import { openSite, type Site } from "./fairness/site.ts";
import type { Bench, OpenRig } from "./rig.ts";
import { table } from "./table.ts";

const SECONDS = 20;
/** The attacker fills the pool before the good ones are measured beside it. */
const FILLING_MS = 8_000;
const ATTACKER = "127.0.66.66";
/** The rate is what `ACCESS=public` has by default. */
const SETTINGS = { TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8", TIDINGS_REQUESTS_PER_ADDRESS: "1000" };
const NOTHING: OpenPool = { settings: {}, close: () => Promise.resolve() };

/** The names of all pools. */
export const POOL_NAMES: readonly string[] = [...POOLS, names].map(({ name }) => name);

/** `pools`: names of pools; none: all of them. */
export const fairness = (pools: readonly string[]): Bench => ({
  name: "fairness",
  async run(_rig, open) {
    table([
      `fairness: ${CLIENTS} good clients, ${SECONDS} s alone and ${SECONDS} s beside an attacker`,
      "acts",
      "p50 ms alone",
      "p99 ms alone",
      "p50 ms beside",
      "p99 ms beside",
      "p99 ratio",
      "lost",
      "refused",
      "attacker refused",
      "of those told when to come back",
    ]);
    for (const pool of [...POOLS, names]) {
      if (pools.length === 0 || pools.includes(pool.name)) await trial(pool, open);
    }
  },
});

async function trial(pool: Pool, open: OpenRig): Promise<void> {
  const opened = await pool.open?.() ?? NOTHING;
  const site = await openSite();
  try {
    await using rig = await open({ settings: { ...SETTINGS, ...opened.settings } });
    const { url: hub, base } = rig.hub;
    const acts = await readyClients(pool, opened, { hub, base, site });
    await measure(pool, acts, 3);
    const alone = await measure(pool, acts, SECONDS);
    const attacker = opened.attack?.() ?? await startAttack({ attack: pool.attack!, hub, base, address: ATTACKER });
    await pause(FILLING_MS);
    const beside = await measure(pool, acts, SECONDS);
    print(pool, alone, beside, await attacker());
  } finally {
    await site.close();
    await opened.close();
  }
}

type Act = (nth: number) => Promise<Outcome>;

async function readyClients(
  pool: Pool,
  opened: OpenPool,
  { hub, base, site }: { readonly hub: string; readonly base: string; readonly site: Site },
): Promise<Act[]> {
  const acts: Act[] = [];
  for (let n = 0; n < CLIENTS; n++) {
    const address = `127.0.1.${n + 1}`;
    const good = { person: createPerson(address), n, hub, base, site, origin: `http://${address}:${site.port}` };
    acts.push(await pool.ready(good, opened));
  }
  return acts;
}

/** Lets every client act again and again, whether or not its last act has ended; yields what came of all. */
async function measure({ everyMs }: Pool, acts: readonly Act[], seconds: number): Promise<Outcome[]> {
  const outcomes: Promise<Outcome>[] = [];
  await Promise.all(acts.map(async (act, n) => {
    // Not all at the same moment.
    await pause(everyMs * n / acts.length);
    const begun = performance.now();
    for (let nth = 0; nth * everyMs < seconds * 1_000; nth++) {
      await pause(Math.max(0, begun + nth * everyMs - performance.now()));
      outcomes.push(act(nth).catch(() => "lost" as const));
    }
  }));
  return await Promise.all(outcomes);
}

/** Starts an attacker that is ready to attack, and lets it; the result stops it. */
async function startAttack(order: Order): Promise<() => Promise<AttackReport>> {
  const child: ChildProcess = fork(fileURLToPath(new URL("fairness/attacker.ts", import.meta.url)));
  child.send(order);
  await once(child, "message");
  child.send("attack");
  return async () => {
    const exit = once(child, "exit");
    const report = once(child, "message");
    child.kill("SIGTERM");
    const [told] = await report as [AttackReport];
    await exit;
    return told;
  };
}

function print({ name }: Pool, alone: readonly Outcome[], beside: readonly Outcome[], attack: AttackReport): void {
  const figures = (outcomes: readonly Outcome[]) => {
    const times = outcomes.filter((outcome) => typeof outcome === "number").toSorted((a, b) => a - b);
    return [quantile(times, 0.5), quantile(times, 0.99)] as const;
  };
  const [p50, p99] = figures(alone);
  const [p50Beside, p99Beside] = figures(beside);
  const count = (what: Outcome) => [...alone, ...beside].filter((outcome) => outcome === what).length;
  const cells = [p50, p99, p50Beside, p99Beside].map((ms) => ms.toFixed(1));
  console.log(
    `| ${
      [
        name,
        beside.length,
        ...cells,
        (p99Beside / p99).toFixed(2),
        count("lost"),
        count("refused"),
        attack.refused,
        attack.told,
      ].join(" | ")
    } |`,
  );
}
