// What is deployed: one module that needs nothing of Node, and a configuration whose names are right.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { parseSync } from "oxc-parser";
import { WORKER_MESSAGE_MAX_BYTES } from "../../../edge/limits/memory.ts";
import { parseBindings } from "../../../shared/runtime/workerd/settings.ts";
import { PREFIX, ROWS } from "../../../shared/settings/settings.ts";
import { buildWorker, BUNDLE, COMPATIBILITY_DATE } from "../../support/hub/workerd.ts";
import { EDGE_KEY } from "../../support/keys.ts";

/**
 * A new isolate parses the whole module before its first answer, and Cloudflare takes 3 MB of gzip at most. These bounds are a sixth
 * above what the code needs now, so that a package which comes in by mistake shows.
 */
/** A third of it is the Public Suffix List, by which hosts are counted. */
const MOST_BYTES = 464 * 1_024;
const MOST_GZIP_BYTES = 164 * 1_024;

describe("the bundle of the Worker", () => {
  let source = "";
  before(async () => {
    buildWorker();
    source = await readFile(BUNDLE, "utf8");
  });

  it("imports nothing but what workerd gives to every module", () => {
    const { module } = parseSync("worker.js", source);
    assert.deepEqual(module.staticImports.map(({ moduleRequest }) => moduleRequest.value), ["cloudflare:workers"]);
    assert.deepEqual(module.dynamicImports, []);
    assert.doesNotMatch(source, /["'`]node:|\brequire\(/);
  });

  it("is small", () => {
    const [bytes, gzip] = [Buffer.byteLength(source), gzipSync(source, { level: 9 }).length];
    assert.ok(bytes < MOST_BYTES && gzip < MOST_GZIP_BYTES, `${bytes} bytes, ${gzip} as gzip`);
  });
});

describe("wrangler.jsonc", () => {
  const read = async () => {
    const text = await readFile(new URL("../../../deploy/worker/wrangler.jsonc", import.meta.url), "utf8");
    const config: unknown = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ""));
    return config as {
      readonly main: string;
      readonly no_bundle: boolean;
      readonly compatibility_date: string;
      readonly vars: Readonly<Record<string, string>>;
      readonly secrets: { readonly required: readonly string[] };
    };
  };

  it("deploys the bundle as it is, with the behaviour of workerd that the tests have", async () => {
    const { main, no_bundle, compatibility_date } = await read();
    assert.deepEqual([main, no_bundle, compatibility_date], ["worker.js", true, COMPATIBILITY_DATE]);
  });

  it("names settings that exist, secrets only as secrets, and starts an edge once the secret is put in", async () => {
    const { vars, secrets } = await read();
    assert.deepEqual(secrets.required, ["TIDINGS_EDGE_KEY"]);
    for (const row of Object.values(ROWS)) {
      if ("secret" in row && row.secret) assert.ok(!(PREFIX + row.name in vars), row.name);
    }
    parseBindings({ ...vars, TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY) }, WORKER_MESSAGE_MAX_BYTES);
  });
});
