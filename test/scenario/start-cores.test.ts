// `npm start -- --cores 2` on a real broker, on each runtime.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { runChild } from "../support/hub/child.ts";
import { startScript } from "../support/hub/launcher-command.ts";
import { kafkaForTests } from "../support/kafka/kafka.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { call } from "../support/servers/http.ts";

const kafka = await kafkaForTests();
after(() => kafka.close());

const MAIN = new URL("../../cli/tidings.ts", import.meta.url);

describe("several cores by one command", { skip: kafka.skip, timeout: 240_000 }, () => {
  for (const runtime of RUNTIMES) {
    it(`npm run ${startScript(runtime)} -- --cores 2 starts them, and goes on when one of them is killed`, async () => {
      const dataDir = await mkdtemp(join(tmpdir(), "tidings-start-"));
      try {
        await using start = runChild(MAIN, {
          launcherOn: runtime,
          args: ["start", "--cores", "2"],
          settings: {
            TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
            TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
            TIDINGS_CORE_LISTEN: "127.0.0.1:0",
            TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
            TIDINGS_DATA_DIR: dataDir,
            TIDINGS_KAFKA_BROKERS: kafka.brokers.join(),
            TIDINGS_KAFKA_PREFIX: kafka.newPrefix(),
            TIDINGS_LOG_LEVEL: "error",
          },
        });
        const url = await eventually("the greeting", () => /The hub is at (\S+)/.exec(start.stdout())?.[1], {
          deadlineMs: 60_000,
          seen: () => start.stdout() + start.stderr(),
        });
        assert.deepEqual((await readdir(dataDir)).toSorted(), ["core-0", "core-1", "core-keys.json", "edge-key.json"]);
        const body = "hub.mode=register&hub.topic=t";
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        assert.equal((await call(url, { body, headers })).status, 200);
        process.kill(await coreOf(start.process.pid!), "SIGKILL");
        const report = /core \d was ended by SIGKILL; the other core goes on/;
        await eventually("the report", () => report.test(start.stderr()), { seen: start.stderr });
        assert.equal((await call(url, { body, headers })).status, 200);
        start.signal("SIGTERM");
        assert.deepEqual(await start.ended, { code: 0, signal: null }, start.stderr());
      } finally {
        await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
      }
    });
  }
});

/** One core among a launcher's children, whichever of its threads started it. */
async function coreOf(launcher: number): Promise<number> {
  const threads = await readdir(`/proc/${launcher}/task`);
  const lists = await Promise.all(threads.map((id) => readFile(`/proc/${launcher}/task/${id}/children`, "utf8")));
  for (const pid of lists.join(" ").trim().split(/\s+/)) {
    if ((await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").includes("core")) return Number(pid);
  }
  throw new Error(`The launcher ${launcher} has no core`);
}
