import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Child, lives, runChild } from "../../support/hub/child.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { startScript } from "../../support/hub/launcher-command.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import type { Runtime } from "../../../shared/runtime/which.ts";
import type { Behaviour } from "./tiers/play.ts";

const LAUNCH = new URL("./tiers/launch.ts", import.meta.url);
const MAIN = new URL("../../../cli/tidings.ts", import.meta.url);

interface Launched {
  readonly core?: Behaviour;
  readonly edge?: Behaviour;
  readonly cores?: number;
  /** More of the environment. */
  readonly more?: Record<string, string>;
}

function launchedOn(launcherOn: Runtime, { core = "", edge = "", cores = 1, more = {} }: Launched = {}): Child {
  return runChild(LAUNCH, {
    launcherOn,
    settings: {
      TIDINGS_TEST_CORE: core,
      TIDINGS_TEST_EDGE: edge,
      TIDINGS_TEST_CORES: String(cores),
      TIDINGS_LOG_LEVEL: "warning",
      ...more,
    },
  });
}

/** Of several cores, in the order in which they came up. */
async function pidsOf(hub: Child, cores: number): Promise<number[]> {
  await hub.says(/both ready/);
  const pids = [...hub.stdout().matchAll(/core pid (\d+)/g)].map(([, pid]) => Number(pid));
  assert.equal(pids.length, cores);
  return pids;
}

async function pidOf(hub: Child, tier: "core" | "edge"): Promise<number> {
  return Number((await hub.says(new RegExp(`${tier} pid (\\d+)`)))[1]);
}

const gone = (pid: number) => eventually(`process ${pid} to end`, () => !lives(pid));

for (const runtime of RUNTIMES) {
  describe(`the launcher on ${runtime}`, { concurrency: 2 }, () => {
    const launched = (options?: Launched) => launchedOn(runtime, options);

    it("starts the core, then the edge, then says where both are", async () => {
      await using hub = launched();
      await hub.says(/both ready: http:\/\/core\.test http:\/\/edge\.test/);
      assert.match(hub.stdout(), /core pid[^]*edge pid[^]*both ready/);
      assert.equal(hub.stderr(), "");
    });

    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      it(`on ${signal} stops the edge, then the core, and ends with 0`, async () => {
        await using hub = launched({ edge: "slow" });
        await hub.says(/both ready/);
        hub.process.kill(signal);
        assert.deepEqual(await hub.ended, { code: 0, signal: null });
        assert.match(hub.stdout(), /edge asked\nedge stopped\ncore asked\ncore stopped\n$/);
        assert.equal(hub.stderr(), "");
      });
    }

    it("takes the two signals of one Ctrl-C under npm for one", async () => {
      await using hub = launched({ edge: "slow" });
      await hub.says(/both ready/);
      hub.process.kill("SIGINT");
      await hub.says(/edge asked/);
      hub.process.kill("SIGINT");
      assert.equal((await hub.ended).code, 0);
      assert.match(hub.stdout(), /edge stopped\ncore asked\ncore stopped\n$/);
    });

    it("kills both at a second request", async () => {
      await using hub = launched({ edge: "stuck" });
      const [core, edge] = [await pidOf(hub, "core"), await pidOf(hub, "edge")];
      await hub.says(/both ready/);
      hub.process.kill("SIGTERM");
      await hub.says(/edge asked/);
      const repeat = setInterval(() => hub.process.kill("SIGTERM"), 100);
      assert.equal((await hub.ended).code, 1);
      clearInterval(repeat);
      await gone(core);
      await gone(edge);
    });

    it("stops while the edge is still starting", async () => {
      await using hub = launched();
      await pidOf(hub, "core");
      hub.process.kill("SIGTERM");
      assert.equal((await hub.ended).code, 0);
      assert.match(hub.stdout(), /core stopped/);
    });

    it("leaves the last word to a tier that cannot start", async () => {
      await using core = launched({ core: "refuse" });
      assert.equal((await core.ended).code, 1);
      assert.equal(core.stderr(), "tidings core: Cannot listen on 127.0.0.1: in use\n");
      assert.equal(core.stdout(), "");
      await using edge = launched({ edge: "refuse" });
      assert.equal((await edge.ended).code, 1);
      assert.equal(edge.stderr(), "tidings edge: Cannot listen on 127.0.0.1: in use\n");
      assert.match(edge.stdout(), /core asked\ncore stopped\n$/);
    });

    for (const [dying, other] of [["core", "edge"], ["edge", "core"]] as const) {
      it(`stops the ${other} if the ${dying} dies, and says why`, async () => {
        await using hub = launched();
        const pid = await pidOf(hub, dying);
        await hub.says(/both ready/);
        process.kill(pid, "SIGKILL");
        assert.equal((await hub.ended).code, 1);
        assert.equal(hub.stderr(), `tidings: the ${dying} was ended by SIGKILL; stopping the ${other}\n`);
        assert.match(hub.stdout(), new RegExp(`${other} asked\n${other} stopped\n$`));
      });
    }

    it("of three cores one may die: it says so, and the others go on; they stop after the edge", async () => {
      await using hub = launched({ cores: 3 });
      const [first, second] = await pidsOf(hub, 3);
      process.kill(first!, "SIGKILL");
      await eventually(
        "the report",
        () => /the core \d was ended by SIGKILL; the other cores go on\n/.test(hub.stderr()),
      );
      process.kill(second!, "SIGKILL");
      await eventually(
        "the report",
        () => /the core \d was ended by SIGKILL; the other core goes on\n/.test(hub.stderr()),
      );
      hub.process.kill("SIGTERM");
      assert.deepEqual(await hub.ended, { code: 0, signal: null });
      assert.match(hub.stdout(), /edge asked\nedge stopped\ncore asked\ncore stopped\n$/);
    });

    it("ends with 1 when the last core has died", async () => {
      await using hub = launched({ cores: 2 });
      for (const pid of await pidsOf(hub, 2)) process.kill(pid, "SIGKILL");
      assert.equal((await hub.ended).code, 1);
      assert.match(hub.stderr(), /the core \d was ended by SIGKILL; stopping the edge\n$/);
      assert.match(hub.stdout(), /edge stopped\n$/);
    });

    it("ends all if one of several cores cannot start", async () => {
      await using hub = launched({ core: "refuse", cores: 2 });
      assert.equal((await hub.ended).code, 1);
      assert.match(hub.stderr(), /^(?:tidings core: Cannot listen on 127\.0\.0\.1: in use\n)+/);
    });

    it("leaves no tier behind: both stop when it is killed", async () => {
      await using hub = launched();
      const [core, edge] = [await pidOf(hub, "core"), await pidOf(hub, "edge")];
      await hub.says(/both ready/);
      hub.process.kill("SIGKILL");
      await gone(core);
      await gone(edge);
      await hub.says(/core stopped/);
      await hub.says(/edge stopped/);
    });

    for (const [behaviour, reason] of [["reject", "nobody caught this"], ["fail", "the writer is in doubt"]] as const) {
      it(`ends all if a tier has to end: ${reason}`, async () => {
        await using hub = launched({ edge: behaviour });
        assert.equal((await hub.ended).code, 1);
        assert.match(hub.stderr(), new RegExp(`"level":"FATAL".*${reason}`));
        assert.match(hub.stderr(), /the edge ended with exit code 1; stopping the core\n$/);
        assert.match(hub.stdout(), /core stopped/);
      });
    }

    it("says once which names of the dynamic linker the tiers do not get, if they do not", async () => {
      await using hub = launched({ more: { LD_TIDINGS: "1", DYLD_TIDINGS: "2", OLD_TIDINGS: "3" } });
      await hub.says(/both ready/);
      const withheld = "tidings: Deno does not hand LD_TIDINGS, DYLD_TIDINGS on to the hub's processes\n";
      const sorted = (text: string) => text.split(/[ ,]+/).toSorted().join(" ");
      assert.equal(sorted(hub.stderr()), sorted(runtime === "deno" ? withheld : ""));
    });

    it("leaves Ctrl-C to the launcher: a tier that gets SIGINT too goes on until it is told", async () => {
      await using hub = launched();
      const core = await pidOf(hub, "core");
      await hub.says(/both ready/);
      process.kill(core, "SIGINT");
      await pause(50);
      assert.ok(lives(core));
      assert.doesNotMatch(hub.stdout(), /core asked/);
    });
  });
}

for (const runtime of RUNTIMES) {
  describe(`npm run ${startScript(runtime)}`, () => {
    it("prints what is in force, and starts nothing", async () => {
      await using start = runChild(MAIN, {
        launcherOn: runtime,
        args: ["start", "--print-config"],
        settings: { TIDINGS_RETRY_MIN: "2s" },
      });
      assert.equal((await start.ended).code, 0);
      assert.match(start.stdout(), /^TIDINGS_EDGE_LISTEN=127\.0\.0\.1:9191\n[^]*TIDINGS_RETRY_MIN=2s\n/);
    });

    for (
      const [title, args, settings, sentence] of [
        ["an unknown setting", [], { TIDINGS_DATADIR: "x" }, /^tidings: TIDINGS_DATADIR is .* TIDINGS_DATA_DIR\n$/],
        [
          "an unknown setting to print",
          ["--print-config"],
          { TIDINGS_X: "x" },
          /^tidings: TIDINGS_X is not a setting.*\n$/,
        ],
        ["an unknown option", ["--verbose"], {}, /^tidings: Unknown option '--verbose'.*\n$/],
        [
          "several cores on the embedded log",
          ["--cores", "3"],
          {},
          /^tidings: --cores 3 needs Kafka.*TIDINGS_KAFKA_BROKERS.*\n$/,
        ],
        ["no number of cores", ["--cores", "many"], {}, /^tidings: --cores must be 1 to 16, not "many"\n$/],
        ["a word too many", ["now"], {}, /^tidings: .*'now'.*\n$/],
      ] as const
    ) {
      it(`refuses ${title} in one line`, async () => {
        await using start = runChild(MAIN, { launcherOn: runtime, args: ["start", ...args], settings });
        assert.equal((await start.ended).code, 1);
        assert.match(start.stderr(), sentence);
        assert.equal(start.stdout(), "");
      });
    }
  });
}
