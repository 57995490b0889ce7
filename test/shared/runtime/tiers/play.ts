// A tier that does as TIDINGS_TEST_<TIER> says, run by the real runTier, for the tests of the launcher.
import { pause } from "../../../support/eventually.ts";
import { runTier } from "../../../../shared/runtime/tier.ts";

/** refuse: cannot start · reject: nobody catches its promise · fail: gives up · slow, stuck: takes its time to stop. */
export type Behaviour = "" | "refuse" | "reject" | "fail" | "slow" | "stuck";

export async function play(tier: "edge" | "core"): Promise<never> {
  const behaviour = (process.env[`TIDINGS_TEST_${tier.toUpperCase()}`] ?? "") as Behaviour;
  return await runTier(tier, async ({ settings, signal, fail }) => {
    if (behaviour === "refuse") throw new Error(`Cannot listen on ${settings.edgeListen.host}: in use`);
    signal.addEventListener("abort", () => console.log(`${tier} asked`));
    console.log(`${tier} pid ${process.pid}`);
    const alive = setInterval(() => {}, 1000);
    if (behaviour === "reject") setTimeout(() => void Promise.reject(new Error("nobody caught this")), 100);
    if (behaviour === "fail") setTimeout(() => fail(new Error("the writer is in doubt")), 100);
    return {
      url: `http://${tier}.test`,
      operatingUrl: undefined,
      stop: async () => {
        if (behaviour === "slow") await pause(300);
        if (behaviour === "stuck") await pause(60_000);
        clearInterval(alive);
        console.log(`${tier} stopped`);
      },
    };
  });
}
