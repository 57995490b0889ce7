// Stops and starts every process of a hub and of its brokers, one after the other, while publishers publish.
import type { Fault } from "../support/load/book.ts";
import { flowing, inSync, type LoadOptions, openUnderLoad, type ScenarioReport, type UnderLoad } from "./load.ts";
import { pause } from "../support/eventually.ts";

export interface RollingOptions extends LoadOptions {
  readonly rounds: number;
}

export async function runRolling(options: RollingOptions): Promise<ScenarioReport> {
  const { cluster, rounds } = options;
  const load = await openUnderLoad(options);
  const { fleet, down } = load.session;
  try {
    await load.during("before", () => pause(1_500));
    for (let round = 1; round <= rounds; round += 1) {
      for (const [index, broker] of cluster.nodes.entries()) {
        await inSync(cluster);
        await load.during(`round ${round}, broker ${index + 1}`, () =>
          restarted(load, "broker", async () => {
            await broker.stop();
            await broker.start();
          }));
      }
      await inSync(cluster);
      for (const member of fleet.members) {
        await load.during(`round ${round}, ${member.name}`, () =>
          restarted(load, member.tier, async () => {
            down.add(member);
            await member.stop();
            await member.start();
            down.delete(member);
          }));
      }
    }
    return await load.report();
  } finally {
    await load.close();
  }
}

async function restarted({ session }: UnderLoad, target: Fault["target"], restart: () => Promise<void>): Promise<void> {
  const shared = (target === "core" ? session.fleet.cores : session.fleet.edges).length > 1;
  const fault: Fault = { target, kind: "restarted", from: performance.now(), to: Infinity, shared };
  session.book.faults.push(fault);
  await restart();
  fault.to = performance.now();
  await flowing(session);
}
