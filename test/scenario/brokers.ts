// Three brokers: first one dies, then two. What the hub does meanwhile (ARCHITECTURE A2.1).
import { pause } from "../support/eventually.ts";
import type { Kafka } from "../support/kafka/node.ts";
import { flowing, inSync, type LoadOptions, openUnderLoad, type ScenarioReport, type UnderLoad } from "./load.ts";

export interface BrokersReport extends ScenarioReport {
  /** Publishes that were sent and accepted while two brokers were dead. */
  readonly acceptedWhileTwoWereDead: number;
  /** Publishes that were refused meanwhile, with Retry-After. */
  readonly refusedWhileTwoWereDead: number;
}

export interface BrokersOptions extends LoadOptions {
  /** How many times one broker is killed, each time the next one. */
  readonly kills: number;
  /** How many times two brokers are killed. */
  readonly doubleKills: number;
}

/** Other brokers lead the dead one's partitions after this time, and the hub goes on for a while without it. */
const ONE_DEAD_MS = 5_000;
/** Longer than an edge waits for a core (10 s), so that publishers get an answer. */
const TWO_DEAD_MS = 13_000;

export async function runBrokers(options: BrokersOptions): Promise<BrokersReport> {
  const { cluster, kills, doubleKills } = options;
  const { nodes } = cluster;
  const load = await openUnderLoad(options);
  const twoDead: { from: number; to: number }[] = [];
  try {
    await load.during("before", () => pause(1_500));
    for (let kill = 0; kill < kills; kill += 1) {
      const index = kill % nodes.length;
      await inSync(cluster);
      await load.during(`broker ${index + 1} killed`, () =>
        withDead(load, [nodes[index]!], async () => {
          await flowing(load.session);
          await pause(ONE_DEAD_MS);
        }));
    }
    for (let kill = 0; kill < doubleKills; kill += 1) {
      const [one, two] = [kill % nodes.length, (kill + 1) % nodes.length];
      await inSync(cluster);
      await load.during(
        `brokers ${one + 1} and ${two + 1} killed`,
        () =>
          withDead(load, [nodes[one]!, nodes[two]!], async () => {
            const from = performance.now();
            await pause(TWO_DEAD_MS);
            twoDead.push({ from, to: performance.now() });
          }),
      );
    }
    await inSync(cluster);
    await load.during("after", () => flowing(load.session));
    const report = await load.report();
    const { messages, refusals } = load.session.book;
    const whileDead = (at: number) => twoDead.some(({ from, to }) => at > from && at < to);
    return {
      ...report,
      acceptedWhileTwoWereDead: [...messages.values()].filter(({ sentAt, ackedAt }) =>
        whileDead(sentAt) && whileDead(ackedAt)
      ).length,
      refusedWhileTwoWereDead: refusals.filter(({ at, status }) => status !== undefined && whileDead(at)).length,
    };
  } finally {
    await load.close();
  }
}

/** Kills brokers, does `work`, and starts them. Resolves when a message published since has arrived at every subscriber. */
async function withDead({ session }: UnderLoad, brokers: readonly Kafka[], work: () => Promise<void>): Promise<void> {
  const fault = { target: "broker" as const, kind: "killed" as const, from: performance.now(), to: Infinity };
  session.book.faults.push(fault);
  await Promise.all(brokers.map((broker) => broker.kill()));
  try {
    await work();
  } finally {
    await Promise.all(brokers.map((broker) => broker.start()));
    fault.to = performance.now();
  }
  await flowing(session);
}
