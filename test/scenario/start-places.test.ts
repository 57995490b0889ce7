// The hub finds what its settings name on the disk, on each runtime, however the paths are written. On Deno that is a matter of permissions:
// its processes may read and write these places alone.
import assert from "node:assert/strict";
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Command, runCommand, signalCommand } from "../support/hub/command.ts";
import { launcherCommand } from "../support/hub/launcher-command.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { createAuthority } from "../support/servers/certificates.ts";

const MAIN = fileURLToPath(new URL("../../cli/tidings.ts", import.meta.url));
const AUTHORITY = await createAuthority();
const CERTIFICATE = await AUTHORITY.issue("127.0.0.1");
/** Relative paths; a comma separates Deno's paths. */
const PEM = { ca: "pem, files/the ca.pem", cert: "pem, files/a cert, mine.pem", key: "pem, files/a key.pem" };

for (const runtime of RUNTIMES) {
  describe(`what a hub on ${runtime} finds on the disk`, { timeout: 120_000 }, () => {
    let directory = "";
    const commands: Command[] = [];
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "tidings places, "));
      await mkdir(join(directory, "pem, files"));
      await mkdir(join(directory, "some keys, mine"));
      await mkdir(join(directory, "a volume"));
      await symlink("a volume", join(directory, "a link, to it"));
      await writeFile(join(directory, PEM.ca), AUTHORITY.ca);
      await writeFile(join(directory, PEM.cert), CERTIFICATE.cert);
      await writeFile(join(directory, PEM.key), CERTIFICATE.key);
    });
    after(async () => {
      for (const command of commands) signalCommand(command, "SIGKILL");
      await Promise.all(commands.map(({ ended }) => ended));
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    });

    /** Starts a hub in the directory; resolves to its output once it has greeted, and stops it. */
    async function started(
      args: readonly string[],
      settings: Record<string, string>,
      use: (origin: string) => Promise<void> = async () => {},
    ): Promise<string> {
      const [command, ...flags] = launcherCommand(runtime, MAIN);
      const port = await freePort();
      const hub = runCommand(command, [...flags, "start", ...args], {
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_LISTEN: `127.0.0.1:${port}`,
        TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_CORE_URL: `${settings["TIDINGS_CORE_TLS_CERT"] === undefined ? "http" : "https"}://127.0.0.1:${port}`,
        TIDINGS_LOG_LEVEL: "warning",
        ...settings,
      }, directory);
      commands.push(hub);
      const seen = () => hub.output() + hub.errors();
      const [, origin = ""] = await eventually("the greeting", () => /The hub is at (\S+)\/hub/.exec(hub.output()), {
        seen,
      });
      await use(origin);
      signalCommand(hub, "SIGINT");
      assert.equal(await hub.ended, 0, hub.errors());
      assert.equal(hub.errors(), "");
      return hub.output();
    }

    for (
      const [written, path] of [["relative", (name: string) => name], [
        "absolute",
        (name: string) => resolve(directory, name),
      ]] as const
    ) {
      it(`certificates, keys and authorities by ${written} paths, and a data directory that is a link`, async () => {
        const [cert, key, ca] = [path(PEM.cert), path(PEM.key), path(PEM.ca)];
        const settings = {
          TIDINGS_DATA_DIR: path("a link, to it"),
          TIDINGS_EDGE_TLS_CERT: cert,
          TIDINGS_EDGE_TLS_KEY: key,
          TIDINGS_CORE_TLS_CERT: cert,
          TIDINGS_CORE_TLS_KEY: key,
          TIDINGS_CORE_CA: ca,
          TIDINGS_CORE_CLIENT_CA: ca,
        };
        await started([], settings, async (origin) => {
          assert.match(origin, /^https:/);
          await eventually("the edge to reach its core", async () => await statusOf(`${origin}/readyz`) === 200);
        });
        assert.ok((await readdir(join(directory, "a volume"))).includes("log.db"));
        assert.ok((await lstat(join(directory, "a link, to it"))).isSymbolicLink());
      });

      it(`keys in a file of their own by a path that is ${written}, also to rotate them`, async () => {
        const data = `data ${written}`;
        await started([], { TIDINGS_DATA_DIR: data });
        const file = `some keys, mine/${written}.json`;
        await rename(join(directory, data, "core-keys.json"), join(directory, file));
        const said = await started(["--rotate-keys"], { TIDINGS_DATA_DIR: data, TIDINGS_CORE_KEYS: path(file) });
        const { keys } = JSON.parse(await readFile(join(directory, file), "utf8")) as {
          readonly keys: { readonly kid: string }[];
        };
        assert.equal(keys.length, 2);
        assert.ok(said.startsWith(`Secrets are sealed to key ${keys[0]!.kid} from now on`), said);
        assert.ok(!(await readdir(join(directory, data))).includes("core-keys.json"));
      });
    }

    if (runtime === "deno") {
      it("nothing that Deno would like to keep for the next start: its own directory need not be writable", async () => {
        // Nobody, not even root, can make a directory inside a file.
        await writeFile(join(directory, "a file"), "");
        await started([], { TIDINGS_DATA_DIR: "data of deno", DENO_DIR: join(directory, "a file", "deno") });
      });
    }
  });
}

/** The status of an answer over TLS, by the test's own authority. */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((done, reject) => {
    get(url, { ca: AUTHORITY.ca, agent: false }, (answer) => {
      answer.resume();
      done(answer.statusCode);
    }).once("error", reject);
  });
}
