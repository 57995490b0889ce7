// Nobody has to read what the hub writes: neither the launcher nor a tier ends because the reader has gone, or was never there.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { lives, signalChild } from "../../support/hub/child.ts";
import { launcherCommand } from "../../support/hub/launcher-command.ts";
import { RUNTIMES } from "../../support/runtimes.ts";

const MAIN = fileURLToPath(new URL("../../../cli/tidings.ts", import.meta.url));

for (const runtime of RUNTIMES) {
  describe(`a hub on ${runtime} whose output nobody reads`, { timeout: 60_000 }, () => {
    let directory = "";
    const started: ChildProcess[] = [];
    before(async () => void (directory = await mkdtemp(join(tmpdir(), "tidings-unread-"))));
    after(async () => {
      for (const child of started) if (child.pid !== undefined && lives(child.pid)) child.kill("SIGKILL");
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    });

    /** Starts a hub by way of a shell, which may close what the hub inherits; each request is a log line. */
    async function start(
      name: string,
      words: string,
    ): Promise<{ readonly child: ChildProcess; readonly urls: string[] }> {
      const listen = { EDGE: `127.0.0.1:${await freePort()}`, CORE: `127.0.0.1:${await freePort()}` };
      const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("TIDINGS_"));
      const child = spawn("sh", ["-c", `exec "$@" ${words}`, "sh", ...launcherCommand(runtime, MAIN), "start"], {
        env: {
          ...Object.fromEntries(inherited),
          TIDINGS_EDGE_LISTEN: listen.EDGE,
          TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
          TIDINGS_CORE_LISTEN: listen.CORE,
          TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
          TIDINGS_CORE_URL: `http://${listen.CORE}`,
          TIDINGS_DATA_DIR: join(directory, name),
          TIDINGS_LOG_LEVEL: "debug",
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      started.push(child);
      return { child, urls: Object.values(listen).map((at) => `http://${at}`) };
    }

    /** The hub takes requests that it writes log lines about, for as long as a line needs to fail, and stops when it is told to. */
    async function serves({ child, urls }: Awaited<ReturnType<typeof start>>): Promise<void> {
      const [edge] = urls;
      const up = async (url: string) => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200;
      for (const url of urls) await eventually(`${url} to be ready`, () => up(url));
      for (let round = 0; round < 10; round++) {
        const topic = `https://example.com/${round}`;
        const register = new URLSearchParams({ "hub.mode": "register", "hub.topic": topic });
        assert.equal((await fetch(`${edge}/hub`, { method: "POST", body: register })).status, 200);
        const subscribe = new URLSearchParams({
          "hub.mode": "subscribe",
          "hub.topic": topic,
          // A line of the log says that the guard refuses it.
          "hub.callback": `http://10.0.0.${round}/`,
        });
        assert.equal((await fetch(`${edge}/hub`, { method: "POST", body: subscribe })).status, 400);
      }
      for (const url of urls) assert.ok(await up(url));
      const ended = once(child, "exit");
      signalChild(child, "SIGTERM");
      assert.deepEqual(await ended, [0, null]);
      for (const url of urls) await assert.rejects(fetch(url));
    }

    it("goes on when the reader leaves after the greeting", async () => {
      const hub = await start("left", "");
      let output = "";
      hub.child.stdout!.on("data", (part) => void (output += String(part)));
      hub.child.stderr!.resume();
      await eventually("the greeting", () => output.includes("Ctrl-C"), { seen: () => output });
      hub.child.stdout!.destroy();
      hub.child.stderr!.destroy();
      await serves(hub);
    });

    it("starts when the reader has left before", async () => {
      const hub = await start("before", "");
      hub.child.stdout!.destroy();
      hub.child.stderr!.destroy();
      await serves(hub);
    });

    it("starts with both outputs closed", async () => {
      await serves(await start("closed", ">&- 2>&-"));
    });
  });
}
