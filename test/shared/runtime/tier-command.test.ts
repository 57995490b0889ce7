import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { namedPlaces, ROWS } from "../../../shared/settings/settings.ts";
import type { Row } from "../../../shared/settings/row.ts";
import { type Program, tierCommand, tierEnvironment } from "../../../shared/runtime/tier-command.ts";
import { executableOf } from "../../support/runtimes.ts";

/** The rows whose text can name a place on the disk. */
const PLACES = Object.values<Row<unknown>>(ROWS).filter(({ value }) => value.place !== undefined);

function permission(program: Program, flag: string, environment: Record<string, string>): string {
  const command = tierCommand(program, environment, { on: "deno" });
  return command.find((word) => word.startsWith(`--allow-${flag}=`)) ?? "";
}

describe("the permissions of a tier on Deno", () => {
  let root = "";
  before(async () => void (root = await mkdtemp(join(tmpdir(), "tidings permissions "))));
  after(() => rm(root, { recursive: true, force: true }));

  /** What a script of a tier with these settings prints, in the very permissions of a tier. */
  async function printed(source: string, settings: Record<string, string> = {}): Promise<string> {
    const path = join(root, "script.mjs");
    await writeFile(path, source);
    const [command, ...args] = tierCommand("edge", settings, {
      on: "deno",
      executable: executableOf("deno"),
      script: pathToFileURL(path),
    });
    const child = spawn(command, args, { env: tierEnvironment({ ...process.env, ...settings }, "deno") });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => void (output += String(part)));
    await once(child, "close");
    return output.trim();
  }

  it("are those of every setting that is a path, and of the directory to write", () => {
    assert.equal(PLACES.length, 14);
    for (const { name } of PLACES) {
      const settings = { [`TIDINGS_${name}`]: "/a place/with a comma, in it/and one, too" };
      // Deno has no way to name a path with a comma.
      const shown = /=(?:.*,)?\/a place(?:,|$)/;
      assert.match(permission("edge", "read", settings), shown, name);
      assert.equal(shown.test(permission("edge", "write", settings)), name === "DATA_DIR", name);
    }
    // No setting is a path by its text alone.
    for (const { name, value } of Object.values<Row<unknown>>(ROWS)) {
      if (/(?:^| or )a path$/.test(value.allowed)) {
        assert.ok(value.place !== undefined, `${name} is a path, but names no place`);
      }
    }
  });

  it("are not those of keys that are no path, and of the system's authorities", () => {
    const settings = { TIDINGS_CORE_KEYS: '{"keys":[]}', TIDINGS_KAFKA_TLS_CA: "system" };
    assert.deepEqual(namedPlaces(settings), [{ path: "./data", place: "directory" }]);
  });

  it("let the program that makes keys replace a key file, and reach no network", () => {
    const settings = { TIDINGS_CORE_KEYS: "/keys/core.json", TIDINGS_DATA_DIR: "/data" };
    assert.equal(permission("keys", "write", settings), "--allow-write=/data,/keys");
    assert.equal(permission("keys", "net", settings), "");
    assert.equal(permission("core", "write", settings), "--allow-write=/data");
  });

  it("never are all: native code is the core's, names of the environment are named", () => {
    for (const program of ["core", "edge", "keys"] as const) {
      const command = tierCommand(program, {}, { on: "deno" });
      assert.ok(!command.some((word) => /^(?:-A|--allow-all|--allow-(?:read|write|env|sys|ffi|run))$/.test(word)));
      assert.equal(command.some((word) => word.startsWith("--allow-ffi=")), program === "core");
      assert.ok(!command.some((word) => word.startsWith("--allow-run")));
    }
  });

  it("let a script read and write there alone, and above a path that has commas", async () => {
    const data = join(root, "d");
    const withCommas = join(data, "a, b", "c, d");
    const script = (path: string) =>
      `import { mkdir, readFile, writeFile } from "node:fs/promises";
       const path = ${JSON.stringify(path)};
       try { await mkdir(path); await writeFile(path + "/f", "whole"); console.log(await readFile(path + "/f", "utf8")); }
       catch (error) { console.log(error.name); }`;
    assert.equal(await printed(script(data), { TIDINGS_DATA_DIR: data }), "whole");
    assert.equal(await printed(script(join(root, "e")), { TIDINGS_DATA_DIR: data }), "NotCapable");
    await mkdir(dirname(withCommas), { recursive: true });
    assert.equal(await printed(script(withCommas), { TIDINGS_DATA_DIR: withCommas }), "whole");
    assert.equal(await printed(script(join(root, "e")), { TIDINGS_DATA_DIR: withCommas }), "NotCapable");
  });

  it("hold an address that a name resolved to against the networks that are never called", async () => {
    const dial = (address: string, family: 4 | 6) =>
      printed(`import { connect } from "node:net";
        const lookup = (_name, options, done) =>
          options.all ? done(null, [{ address: "${address}", family: ${family} }]) : done(null, "${address}", ${family});
        const show = (error) => { console.log(error.code ?? error.name, error.message); Deno.exit(); };
        process.on("uncaughtException", show);
        connect({ host: "metadata.example", port: 80, lookup }).on("error", show);`.replace(
        /^/,
        'import process from "node:process";\n',
      ));
    const refused = /^NotCapable Requires net access to "169\.254\.169\.254:80"/;
    assert.match(await dial("169.254.169.254", 4), refused);
    assert.match(await dial("127.0.0.1", 4), /^ECONNREFUSED/);
    assert.match(await dial("169.254.170.2", 4), /^NotCapable/);
    // The same address, as IPv6 writes it.
    assert.match(await dial("::ffff:169.254.169.254", 6), refused);
    assert.match(await dial("::ffff:a9fe:a9fe", 6), refused);
    assert.match(await dial("::ffff:127.0.0.1", 6), /^ECONNREFUSED/);
  });

  it("let it read the system's files about names, and ask a name server wherever clouds have one", async () => {
    const asked = await printed(`
      import { createSocket } from "node:dgram";
      import { readFileSync, statSync } from "node:fs";
      const sizes = ["/etc/hosts", "/etc/resolv.conf"].map((path) => statSync(path).size === readFileSync(path).length);
      const isDenied = (address) => new Promise((resolve) => {
        const socket = createSocket("udp4");
        socket.connect(53, address, () => socket.send("?", (error) => (socket.close(), resolve(error !== null))));
      });
      const denied = [];
      for (const last of ["169.253", "169.254", "20.10", "169.252", "20.11"]) denied.push(await isDenied("169.254." + last));
      console.log([...sizes, ...denied].join());`);
    assert.equal(asked, "true,true,false,false,false,true,true");
    assert.ok(!permission("keys", "read", {}).includes("/etc/"));
  });
});
