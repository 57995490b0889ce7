// The single files of core and edge, as `npm run build:binaries` makes them, started where there is nothing else.
import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { VERSION } from "../../shared/product.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Command, runCommand, signalCommand } from "../support/hub/command.ts";
import { outputOf } from "../support/package/installed.ts";
import { type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";

type Tier = "core" | "edge";

const TOPIC = "https://example.com/news";

describe("the single files", { timeout: 180_000 }, () => {
  const commands: Command[] = [];
  let root = "";
  let directory = "";
  let callbacks: CallbackServer;
  let settings: Record<string, string> = {};
  const origins: Record<Tier, string> = { core: "", edge: "" };
  const operating: Record<Tier, string> = { core: "", edge: "" };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "tidings-binaries-"));
    directory = join(root, "empty");
    await mkdir(directory);
    await outputOf(runCommand("npm", ["run", "-s", "build:binaries", "--", "--to", root]));
    callbacks = await openCallbackServer();
    for (const tier of ["core", "edge"] as const) {
      origins[tier] = `127.0.0.1:${await freePort()}`;
      operating[tier] = `127.0.0.1:${await freePort()}`;
    }
    settings = {
      TIDINGS_CORE_LISTEN: origins.core,
      TIDINGS_CORE_OPERATING_LISTEN: operating.core,
      TIDINGS_CORE_URL: `http://${origins.core}`,
      TIDINGS_EDGE_LISTEN: origins.edge,
      TIDINGS_EDGE_OPERATING_LISTEN: operating.edge,
      TIDINGS_HEADERS_MAX_BYTES: "131072",
      TIDINGS_LOG_LEVEL: "error",
    };
  });
  after(async () => {
    for (const command of commands) signalCommand(command, "SIGKILL");
    await Promise.all(commands.map(({ ended }) => ended));
    await callbacks.close();
    await rm(root, { recursive: true, force: true, maxRetries: 3 });
  });

  function run(tier: Tier, args: readonly string[] = [], more: Record<string, string> = {}): Command {
    const command = runCommand(join(root, `tidings-${tier}`), args, { ...settings, ...more }, directory);
    commands.push(command);
    return command;
  }

  /** A tier that is ready, and how long that took, ms. */
  async function start(tier: Tier, more: Record<string, string> = {}): Promise<readonly [Command, number]> {
    const begun = performance.now();
    const command = run(tier, [], more);
    const seen = () => command.output() + command.errors();
    await eventually(`the ${tier}`, () => command.output().includes(`tidings ${tier} ready at http://`), { seen });
    return [command, Math.round(performance.now() - begun)];
  }

  async function stop(command: Command): Promise<void> {
    signalCommand(command, "SIGTERM");
    assert.equal(await command.ended, 0, command.errors());
    assert.equal(command.errors(), "");
  }

  function post(form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`http://${origins.edge}/hub`, { method: "POST", body: new URLSearchParams(form), headers });
  }

  function publish(body: string): Promise<Response> {
    const url = `http://${origins.edge}/hub?hub.mode=publish&hub.topic=${encodeURIComponent(TOPIC)}`;
    return fetch(url, { method: "POST", body, headers: { "content-type": "text/plain" } });
  }

  /** How many calls the guard of a tier has refused for this. */
  async function blocked(tier: Tier, path: string): Promise<number> {
    const text = await (await fetch(`http://${operating[tier]}/metrics`)).text();
    const lines = text.matchAll(/^tidings_outbound_blocked_total\{(.*)\} (\d+)$/gm);
    return [...lines].filter(([, labels]) => labels!.includes(`path="${path}"`))
      .reduce((sum, [, , count]) => sum + Number(count), 0);
  }

  for (const tier of ["core", "edge"] as const) {
    it(`of the ${tier} tells its version, and in one sentence what is wrong`, async () => {
      assert.match(await outputOf(run(tier, ["--version"])), new RegExp(`^tidings-${tier} ${VERSION} \\(Bun .*\\)\n$`));
      const name = `TIDINGS_${tier.toUpperCase()}_LISTEN`;
      for (
        const [wrong, sentence] of [[run(tier, [], { [name]: "x" }), name], [run(tier, ["--x"]), '"--x"']] as const
      ) {
        assert.equal(await wrong.ended, 1);
        assert.match(wrong.errors(), new RegExp(`^tidings ${tier}: ${sentence} [^\n]*\n$`));
        assert.equal(wrong.output(), "");
      }
    });
  }

  it("subscribe, deliver, and leave only their data where they were started", async (context) => {
    // A program that reads this file would be told what to do by whoever may write where it is started.
    await writeFile(join(directory, ".env"), "TIDINGS_NONSENSE=1\n");
    const [core, coreMs] = await start("core");
    const [edge, edgeMs] = await start("edge");
    const callback = callbacks.callback();
    assert.equal((await post({ "hub.mode": "register", "hub.topic": TOPIC })).status, 200);
    const subscribe = { "hub.mode": "subscribe", "hub.topic": TOPIC, "hub.callback": callback.url };
    // Bun's own limit for a head is 16 KiB.
    assert.equal((await post(subscribe, { "x-long": "x".repeat(100_000) })).status, 202);
    await callback.challenged();
    assert.equal((await publish("the news")).status, 200);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), "the news");
    await Promise.all([stop(edge), stop(core)]);
    assert.deepEqual((await readdir(directory)).toSorted(), [".env", "data"]);
    const data = join(directory, "data");
    for (const name of await readdir(data)) assert.equal((await stat(join(data, name))).mode & 0o777, 0o600, name);
    assert.equal((await stat(data)).mode & 0o777, 0o700);
    const sizes = await Promise.all(
      ["core", "edge"].map(async (tier) => (await stat(join(root, `tidings-${tier}`))).size),
    );
    context.diagnostic(`core ${sizes[0]} B, ready in ${coreMs} ms; edge ${sizes[1]} B, ready in ${edgeMs} ms`);
  });

  it("say in one sentence that native code cannot be unpacked", async () => {
    const core = run("core", [], { TMPDIR: join(root, "nowhere") });
    assert.equal(await core.ended, 1);
    assert.match(core.errors(), /^tidings core: cannot load libSQL from the temporary directory; set TMPDIR [^\n]*\n$/);
  });

  it("do not call this machine unless they are told that they may", async () => {
    const host = hostname();
    const { address } = await lookup(host);
    assert.notEqual(createOutboundGuard([]).judgeAddress(address), null, `${host} is a name of ${address}`);
    const [core] = await start("core", { TIDINGS_ACCESS: "public" });
    const [open] = await start("edge");
    const callback = callbacks.callback();
    const subscribe = { "hub.mode": "subscribe", "hub.topic": TOPIC, "hub.callback": callback.url };
    assert.equal((await post(subscribe)).status, 202);
    await callback.challenged();
    assert.equal((await publish("not for this machine")).status, 200);
    await eventually("the core's guard", async () => await blocked("core", "delivery") > 0);
    assert.equal(callback.deliveries.length, 0);
    await stop(open);

    const [edge] = await start("edge", { TIDINGS_ACCESS: "public" });
    const named = callbacks.callback();
    const resolved = { ...subscribe, "hub.callback": named.url.replace("127.0.0.1", host) };
    assert.equal((await post(resolved)).status, 202);
    await eventually("the edge's guard", async () => await blocked("edge", "verification") > 0);
    assert.equal(named.requests.length, 0);
    await Promise.all([stop(edge), stop(core)]);
  });
});
