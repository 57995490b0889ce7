// The commands of the documents that take long, in their smallest form: they start, do what they say, and end.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { type Command, runCommand, signalCommand } from "../support/hub/command.ts";
import { freePort } from "../support/free-port.ts";

describe("npm run", { timeout: 220_000 }, () => {
  const commands: Command[] = [];
  let dataDir = "";
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "tidings-commands-"));
  });
  after(async () => {
    for (const command of commands) signalCommand(command, "SIGKILL");
    await Promise.all(commands.map(({ ended }) => ended));
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
  });

  function run(script: string, args: readonly string[] = [], settings: Record<string, string> = {}): Command {
    const command = runCommand("npm", ["run", "-s", script, "--", ...args], settings);
    commands.push(command);
    return command;
  }

  /** The output of a command that ends well. */
  async function outputOf(script: string, args: readonly string[]): Promise<string> {
    const command = run(script, args);
    assert.equal(await command.ended, 0, command.output() + command.errors());
    return command.output();
  }

  it("simulate runs as many seeds as it is told", async () => {
    assert.match(
      await outputOf("simulate", ["--seeds", "2", "--from", "3"]),
      /^2 seeds from 3: .*, 0 violations in 0 seeds/m,
    );
  });

  it("chaos runs as many trials as it is told, and adds them up", async () => {
    assert.match(await outputOf("chaos", ["--trials", "1"]), /^lost +0$/m);
  });

  it("bench prints the figures of one bench, and the names of all where there is none of that name", async () => {
    assert.match(await outputOf("bench", ["unloaded", "--runs", "1"]), /^\| 200 messages \| [\d.]+ \|/m);
    const unknown = run("bench", ["nothing"]);
    assert.equal(await unknown.ended, 1);
    for (const name of ["throughput", "isolation", "growth", "outage", "overload", "failover", "million", "runtimes"]) {
      assert.ok(unknown.errors().includes(name), name);
    }
  });

  it("bench runtimes has every figure of every runtime", async () => {
    const rows = (await outputOf("bench", ["runtimes", "--short"])).split("\n").filter((line) => line.startsWith("| "))
      .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    const [[, ...runtimes] = [], , ...measured] = rows;
    assert.deepEqual(runtimes.slice(0, 3), ["Node", "Deno", "Bun"]);
    assert.equal(measured.length, 18);
    for (const [name = "", ...figures] of measured) {
      assert.equal(figures.length, runtimes.length, name);
      for (const figure of figures) assert.match(figure, /^[\d,.]+$/, name);
    }
  });

  it("start:core and start:edge run a tier each", async () => {
    const [core, edge] = [await freePort(), await freePort()];
    const settings = {
      TIDINGS_CORE_LISTEN: `127.0.0.1:${core}`,
      TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_EDGE_LISTEN: `127.0.0.1:${edge}`,
      TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_DATA_DIR: dataDir,
      TIDINGS_LOG_LEVEL: "warning",
    };
    const tiers = [run("start:core", [], settings), run("start:edge", [], settings)];
    const isReady = () => fetch(`http://127.0.0.1:${edge}/readyz`).then(({ status }) => status === 200, () => false);
    await eventually("both tiers", isReady, { seen: () => tiers.map(({ errors }) => errors()).join("") });
    for (const tier of tiers) signalCommand(tier, "SIGTERM");
    assert.deepEqual(await Promise.all(tiers.map(({ ended }) => ended)), [0, 0]);
  });
});
