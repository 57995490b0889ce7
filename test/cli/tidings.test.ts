import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { VERSION } from "../../shared/product.ts";
import { eventually } from "../support/eventually.ts";
import { type Child, lives, runChild } from "../support/hub/child.ts";

const TIDINGS = new URL("../../cli/tidings.ts", import.meta.url);

function tidings(args: readonly string[], settings: Record<string, string> = {}): Child {
  return runChild(TIDINGS, { args: [...args], settings });
}

describe("tidings", () => {
  it("tells its version and what it runs on", async () => {
    await using told = tidings(["--version"]);
    assert.deepEqual(await told.ended, { code: 0, signal: null });
    assert.match(
      told.stdout(),
      new RegExp(`^tidings ${VERSION.replaceAll(".", "\\.")} \\((?:Node|Deno|Bun) \\d+\\.\\d+\\.\\d+\\)\n$`),
    );
  });

  it("lists its commands, each of which has a text of its own", async () => {
    await using all = tidings(["--help"]);
    assert.equal((await all.ended).code, 0);
    const names = [...all.stdout().matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name]) => name!);
    assert.deepEqual(names, ["start", "core", "edge", "listen"]);
    for (const name of names) {
      await using one = tidings([name, "--help"]);
      assert.equal((await one.ended).code, 0);
      assert.match(one.stdout(), /^Usage: /);
    }
  });

  for (
    const [args, sentence] of [
      [[], /^tidings: name a command; "tidings --help" lists all\n$/],
      [["lisen"], /^tidings: there is no command "lisen", did you mean listen\?; .*\n$/],
      [["toString"], /^tidings: there is no command "toString"; .*\n$/],
      [["core", "--port", "1"], /^tidings core: Unknown option '--port'.*\n$/],
    ] as const
  ) {
    it(`says in one sentence what is wrong with "tidings ${args.join(" ")}"`, async () => {
      await using refused = tidings(args);
      assert.deepEqual(await refused.ended, { code: 1, signal: null });
      assert.match(refused.stderr(), sentence);
      assert.equal(refused.stdout(), "");
    });
  }

  describe("with one tier", () => {
    let settings: Record<string, string> = {};
    before(async () => {
      const directory = await mkdtemp(join(tmpdir(), "tidings-cli-"));
      settings = {
        TIDINGS_DATA_DIR: directory,
        TIDINGS_CORE_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
      };
    });
    after(() => rm(settings["TIDINGS_DATA_DIR"]!, { recursive: true, force: true, maxRetries: 3 }));

    for (const tier of ["core", "edge"]) {
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        it(`runs the ${tier} until ${signal}`, async () => {
          const own = tier === "core" ? { TIDINGS_DATA_DIR: join(settings["TIDINGS_DATA_DIR"]!, signal) } : {};
          await using one = tidings([tier], { ...settings, ...own });
          const [, url = ""] = await one.says(
            new RegExp(`^tidings ${tier} ready at (\\S+) \\(for operators at http://127\\.0\\.0\\.1:\\d+\\)\n$`),
          );
          assert.equal((await fetch(`${url}/healthz`)).status, 200);
          one.signal(signal);
          assert.deepEqual(await one.ended, { code: 0, signal: null });
          await assert.rejects(fetch(url), "the tier has ended as well");
        });
      }

      it(`ends with 1 when the ${tier} cannot start, and leaves the sentence to it`, async () => {
        const wrong = `TIDINGS_${tier.toUpperCase()}_LISTEN`;
        await using one = tidings([tier], { ...settings, [wrong]: "nowhere" });
        assert.equal((await one.ended).code, 1);
        assert.match(one.stderr(), new RegExp(`^tidings ${tier}: ${wrong} must be host:port[^\n]*\n$`));
      });
    }

    it("leaves no tier behind when it is killed", async () => {
      await using one = tidings(["edge"], { ...settings, TIDINGS_LOG_LEVEL: "info" });
      const [, url = ""] = await one.says(/ready at (\S+)/);
      one.signal("SIGKILL");
      await one.ended;
      const answers = () => fetch(url).then(() => true, () => false);
      await eventually("the tier to end", async () => !lives(one.process.pid!) && !await answers());
    });
  });
});
