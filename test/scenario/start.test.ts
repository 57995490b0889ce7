import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { startScript } from "../support/hub/launcher-command.ts";
import { type Command, runCommand, signalCommand as signal } from "../support/hub/command.ts";
import { freePort } from "../support/free-port.ts";
import { pathOf } from "../support/path.ts";
import { executableOf, RUNTIMES } from "../support/runtimes.ts";

const README = new URL("../../README.md", import.meta.url);

const commands: Command[] = [];

function run(command: string, args: readonly string[], settings: Record<string, string> = {}): Command {
  const started = runCommand(command, args, settings);
  commands.push(started);
  return started;
}

for (const runtime of RUNTIMES) {
  describe(`npm run ${startScript(runtime)}`, { timeout: 120_000 }, () => {
    const start = runtime === "node" ? ["-s", "start"] : ["run", "-s", startScript(runtime)];

    let dataDir = "";
    let settings: Record<string, string> = {};
    before(async () => {
      dataDir = await mkdtemp(join(tmpdir(), "tidings-start-"));
      settings = {
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_DATA_DIR: dataDir,
        TIDINGS_LOG_LEVEL: "warning",
      };
    });
    after(async () => {
      for (const command of commands) signal(command, "SIGKILL");
      await Promise.all(commands.map(({ ended }) => ended));
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    });

    it("prints four lines that work when they are pasted, and stops on Ctrl-C", async () => {
      const hub = run("npm", start, settings);
      await eventually("the greeting", () => hub.output().includes("Ctrl-C"), {
        seen: () => hub.output() + hub.errors(),
      });
      assert.match(hub.output(), /The hub is at http:\/\/127\.0\.0\.1:\d+\/hub\n/);
      assert.ok(hub.output().includes(`Its data is in ${dataDir}`));
      const lines = hub.output().split("\n").filter((line) => line.startsWith("  ")).map((line) => line.trim());
      assert.equal(lines.length, 4);
      // The README shows these lines for the default address, and one more, for a ping.
      const [origin] = /http:\/\/127\.0\.0\.1:\d+(?=\/hub\n)/.exec(hub.output())!;
      const shown = lines.map((line) =>
        line.replace(/ --hub \S+/, "").replace(/ listen:\S+/, " listen").replaceAll(origin, "http://127.0.0.1:9191")
      );
      const readme = await readFile(README, "utf8");
      assert.ok(readme.includes(`\`\`\`sh\n${shown.join("\n")}\n\`\`\`\n`), `README.md lacks:\n${shown.join("\n")}`);
      const ping = /^curl -i -d hub\.mode=publish .*$/m.exec(readme)![0].replaceAll("http://127.0.0.1:9191", origin);

      // The listener runs on the same runtime.
      const listen = { node: "listen", deno: "listen:deno", bun: "listen:bun" }[runtime];
      assert.ok(lines[1]!.startsWith(`npm run -s ${listen} -- --hub ${origin}/hub `), lines[1]);
      const terminal = run("bash", ["-c", [...lines, "wait"].join("\n")]);
      const seen = () => terminal.output() + terminal.errors();
      await eventually("the delivery", () => terminal.output().includes('{"hello":"world"}'), { seen });
      await eventually("the status", () => /"state":\s*"active"/.test(terminal.output()), { seen });
      assert.equal(terminal.output().match(/hub\.mode=accepted/g)?.length, 2, seen());
      const pinged = run("bash", ["-c", ping]);
      assert.equal(await pinged.ended, 0, pinged.errors());
      assert.match(pinged.output(), /^HTTP\/1\.1 204 /);
      signal(terminal, "SIGTERM");
      await terminal.ended;

      signal(hub, "SIGINT");
      assert.equal(await hub.ended, 0);
      assert.equal(hub.errors(), "");
    });

    it("starts again on the same data, rotates its keys if asked to, and stops when npm alone is told to", async () => {
      const hub = run("npm", start, settings);
      await eventually("the greeting", () => hub.output().includes("Ctrl-C"), {
        seen: () => hub.output() + hub.errors(),
      });
      const url = /http:\S+\/hub/.exec(hub.output())![0];
      hub.process.kill("SIGTERM");
      await hub.ended;
      await assert.rejects(fetch(url), "nobody listens any more");
      const again = run("npm", [...start, "--", "--rotate-keys"], settings);
      await eventually("the data to be free", () => again.output().includes("Ctrl-C"), { seen: again.errors });
      // The first start made the keys; this start has added one.
      const { keys } = JSON.parse(await readFile(join(dataDir, "core-keys.json"), "utf8")) as {
        keys: { kid: string }[];
      };
      assert.equal(keys.length, 2);
      assert.ok(again.output().startsWith(`Secrets are sealed to key ${keys[0]!.kid} from now on`), again.output());
      signal(again, "SIGTERM");
      await again.ended;
    });

    for (const tier of ["EDGE", "CORE"] as const) {
      it(`says in one sentence that the ${tier.toLowerCase()}'s port is in use`, async () => {
        const port = await freePort();
        const other = createServer().listen(port, "127.0.0.1");
        const hub = run("npm", start, { ...settings, [`TIDINGS_${tier}_LISTEN`]: `127.0.0.1:${port}` });
        assert.equal(await hub.ended, 1);
        assert.match(
          hub.errors(),
          new RegExp(`^tidings ${tier.toLowerCase()}: [^\n]*port ${port} is already in use\n$`),
        );
        assert.equal(hub.output(), "");
        other.close();
      });
    }

    it("says in one sentence that another process holds the data directory", async () => {
      const first = run("npm", start, settings);
      await eventually("the greeting", () => first.output().includes("Ctrl-C"), { seen: first.errors });
      const second = run("npm", start, settings);
      assert.equal(await second.ended, 1);
      assert.match(second.errors(), /^tidings core: [^\n]+\n$/);
      assert.ok(second.errors().includes(dataDir));
      signal(first, "SIGTERM");
      await first.ended;
    });

    it("refuses to start off loopback until it is told who may do what, and under which URL", async () => {
      const steps: [Record<string, string>, RegExp][] = [
        [{}, /TIDINGS_ACCESS must be set: to token, or to public/],
        [{ TIDINGS_ACCESS: "open" }, /ACCESS=open lets anyone do anything, so TIDINGS_ACCESS must be set/],
        [{ TIDINGS_ACCESS: "public" }, /TIDINGS_HUB_URL must be set/],
        [{ TIDINGS_ACCESS: "token", TIDINGS_HUB_URL: "https://hub.example/" }, /set TIDINGS_ISSUER/],
      ];
      for (const [more, sentence] of steps) {
        const hub = run("npm", start, { ...settings, TIDINGS_EDGE_LISTEN: "0.0.0.0:0", ...more });
        assert.equal(await hub.ended, 1);
        assert.match(hub.errors(), /^tidings: [^\n]+\n$/);
        assert.match(hub.errors(), sentence);
      }
    });

    it("with ACCESS=public lets subscribe and refuses content, and says so instead of the four lines", async () => {
      const hub = run("npm", start, { ...settings, TIDINGS_ACCESS: "public" });
      await eventually("the greeting", () => hub.output().includes("TIDINGS_ACCESS=public"), { seen: hub.errors });
      assert.doesNotMatch(hub.output(), /curl/);
      const url = /http:\S+\/hub/.exec(hub.output())![0];
      const form = (mode: string, more = {}) =>
        fetch(url, {
          method: "POST",
          body: new URLSearchParams({ "hub.mode": mode, "hub.topic": "http://127.0.0.1:9999/", ...more }),
        });
      assert.equal((await form("register")).status, 403);
      assert.equal((await form("publish")).status, 204);
      // OUTBOUND_ALLOW is empty unless access is open: the hub does not call this machine for a stranger.
      assert.equal((await form("subscribe", { "hub.callback": "http://127.0.0.1:9999/" })).status, 400);
      assert.equal((await form("subscribe", { "hub.callback": "https://callback.invalid/" })).status, 202);
      signal(hub, "SIGTERM");
      await hub.ended;
    });

    it("says in one sentence that the data directory cannot be written", async () => {
      // Nobody, not even root, can make a directory inside a file, or in /proc.
      await writeFile(join(dataDir, "a file"), "");
      for (const inside of [join(dataDir, "a file", "data"), ...(existsSync("/proc/self") ? ["/proc/tidings"] : [])]) {
        const hub = run("npm", start, { ...settings, TIDINGS_DATA_DIR: inside });
        assert.equal(await hub.ended, 1);
        assert.match(hub.errors(), /^tidings core: [^\n]+\n$/);
        assert.ok(hub.errors().includes(inside));
      }
    });
  });
}

describe("where there is one runtime and no npm", { timeout: 120_000 }, () => {
  let directory = "";
  before(async () => void (directory = await mkdtemp(join(tmpdir(), "tidings-one-runtime-"))));
  after(async () => {
    for (const command of commands) signal(command, "SIGKILL");
    await Promise.all(commands.map(({ ended }) => ended));
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  });

  for (
    const [runtime, start, listen] of [
      ["deno", ["deno", "task", "-q", "start"], "deno task -q listen"],
      ["bun", ["bun", "run", "--silent", "start:bun"], "bun run --silent listen:bun"],
    ] as const
  ) {
    it(`${start.join(" ")} prints four lines that work when they are pasted`, async () => {
      const path = await pathOf(join(directory, runtime), runtime);
      const settings = {
        PATH: path,
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_DATA_DIR: join(directory, `data of ${runtime}`),
        TIDINGS_LOG_LEVEL: "warning",
      };
      const hub = run(join(path, start[0]), start.slice(1), settings);
      await eventually("the greeting", () => hub.output().includes("Ctrl-C"), {
        seen: () => hub.output() + hub.errors(),
      });
      const lines = hub.output().split("\n").filter((line) => line.startsWith("  ")).map((line) => line.trim());
      assert.equal(lines.length, 4);
      assert.ok(lines[1]!.startsWith(`${listen} --hub `), lines[1]);
      const terminal = run("bash", ["-c", [...lines, "wait"].join("\n")], { PATH: path });
      const seen = () => terminal.output() + terminal.errors();
      await eventually("the delivery", () => terminal.output().includes('{"hello":"world"}'), { seen });
      await eventually("the status", () => /"state":\s*"active"/.test(terminal.output()), { seen });
      await assertPrivate(settings.TIDINGS_DATA_DIR);
      signal(terminal, "SIGTERM");
      await terminal.ended;
      signal(hub, "SIGINT");
      assert.equal(await hub.ended, 0);
      assert.equal(hub.errors(), "");
    });
  }
});

/** ARCHITECTURE §5: only the hub's own user may read what it has made. */
async function assertPrivate(directory: string): Promise<void> {
  if (process.platform === "win32") return;
  const names = await readdir(directory);
  assert.ok(names.includes("log.db-wal") && names.includes("core-keys.json"), names.join());
  for (const name of names) {
    assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
  }
  assert.equal((await stat(directory)).mode & 0o777, 0o700, directory);
}

describe("tasks and scripts of one tier", { timeout: 120_000 }, () => {
  let dataDir = "";
  let settings: Record<string, string> = {};
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "tidings tiers, "));
    settings = {
      TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
      TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_CORE_LISTEN: "127.0.0.1:0",
      TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
      TIDINGS_DATA_DIR: join(dataDir, "not there, yet", "data"),
      TIDINGS_LOG_LEVEL: "warning",
    };
  });
  after(async () => {
    for (const command of commands) signal(command, "SIGKILL");
    await Promise.all(commands.map(({ ended }) => ended));
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
  });

  for (
    const [command, args, says] of [
      ["deno", ["task", "-q", "start"], /^The hub is at http:\S+\n/],
      ["deno", ["task", "-q", "start:core"], /^tidings core ready at http:\S+ \(for operators at http:\S+\)\n$/],
      ["npm", ["run", "-s", "start:deno:core"], /^tidings core ready at http:\S+ \(for operators at http:\S+\)\n$/],
      ["npm", ["run", "-s", "start:deno:edge"], /^tidings edge ready at http:\S+ \(for operators at http:\S+\)\n$/],
      ["npm", ["run", "-s", "start:bun:core"], /^tidings core ready at http:\S+ \(for operators at http:\S+\)\n$/],
      ["npm", ["run", "-s", "start:bun:edge"], /^tidings edge ready at http:\S+ \(for operators at http:\S+\)\n$/],
    ] as const
  ) {
    it(`${command} ${args.join(" ")} makes its data directory, says where it is, and stops when it is told to`, async () => {
      const started = run(command === "deno" ? executableOf("deno") : command, args, settings);
      await eventually("the line", () => says.test(started.output()), { seen: started.errors });
      signal(started, "SIGTERM");
      assert.equal(await started.ended, 0);
      assert.equal(started.errors(), "");
    });
  }
});
