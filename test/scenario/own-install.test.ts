// A person who has only Deno or only Bun: it installs the packages, in its own way, and starts the hub.
import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { type Command, runCommand, signalCommand } from "../support/hub/command.ts";
import { outputOf } from "../support/package/installed.ts";
import { whyNoRegistry } from "../support/package/registry.ts";
import { pathOf } from "../support/path.ts";
import { executableOf, RUNTIMES } from "../support/runtimes.ts";

const ROOT = new URL("../../", import.meta.url);
const skip = await outputOf(runCommand("npm", ["ping"])).then(() => false as const, whyNoRegistry);

for (
  const [runtime, install, start] of [
    ["deno", ["install", "--prod"], ["task", "-q", "start"]],
    ["bun", ["install", "--production"], ["run", "--silent", "start:bun"]],
  ] as const
) {
  if (!RUNTIMES.includes(runtime)) continue;
  describe(`a checkout where ${runtime} has installed the packages`, { skip, timeout: 120_000 }, () => {
    let root = "";
    const commands: Command[] = [];
    before(async () => {
      root = await mkdtemp(join(tmpdir(), "tidings-own-install-"));
      for (const name of ["cli", "client", "core", "edge", "shared", "deno.json", "package.json", ".npmrc"]) {
        await cp(new URL(name, ROOT), join(root, name), { recursive: true });
      }
    });
    after(async () => {
      for (const command of commands) signalCommand(command, "SIGKILL");
      await Promise.all(commands.map(({ ended }) => ended));
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    });

    it(`starts by "${runtime} ${start.join(" ")}", with neither npm nor Node there`, async () => {
      const settings = {
        PATH: await pathOf(join(root, "path"), runtime),
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_LOG_LEVEL: "warning",
      };
      await outputOf(runCommand(executableOf(runtime), install, settings, root));
      const hub = runCommand(executableOf(runtime), start, settings, root);
      commands.push(hub);
      const seen = () => hub.output() + hub.errors();
      await eventually("the greeting", () => hub.output().includes("Ctrl-C"), { seen });
      signalCommand(hub, "SIGINT");
      assert.equal(await hub.ended, 0);
      assert.equal(hub.errors(), "");
    });
  });
}
