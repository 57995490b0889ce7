// A Worker cannot refuse to start: what it says instead, on real workerd.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { describe, it } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { workerdCommand } from "../../support/hub/workerd.ts";
import { EDGE_KEY } from "../../support/keys.ts";
import { call } from "../../support/servers/http.ts";

const SECRET = "S3cret-of-introspection";

/** Wrong bindings beside the right ones, and what `/readyz` says of them. */
const WRONG: readonly (readonly [what: string, bindings: Record<string, string>, why: string])[] = [
  ["a setting that lacks another one", {
    TIDINGS_ACCESS: "token",
    TIDINGS_INTROSPECTION_CLIENT_SECRET: SECRET,
  }, "TIDINGS_ACCESS=token needs an identity provider"],
  ["its key under another name", {
    TIDINGS_HUB_URL: JSON.stringify(EDGE_KEY),
  }, "TIDINGS_HUB_URL must be an absolute http"],
  ["a password in a URL", { TIDINGS_CORE_URL: `https://user:${SECRET}@core.example/` }, "TIDINGS_CORE_URL must be"],
];

describe("a Worker with wrong bindings", () => {
  for (const [what, bindings, why] of WRONG) {
    it(`answers every request with 503, and tells why, but no secret: ${what}`, () => refusesAll(bindings, why));
  }

  async function refusesAll(bindings: Record<string, string>, why: string): Promise<void> {
    const port = await freePort();
    const { command, args, directory } = workerdCommand({
      TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}`,
      TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
      TIDINGS_CORE_URL: "http://127.0.0.1:1",
      ...bindings,
    });
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => void (output += part));
    const url = `http://127.0.0.1:${port}`;
    try {
      await eventually("an answer", () => call(`${url}/healthz`).then(() => true, () => false));
      const hub = await call(`${url}/hub?hub.mode=publish&hub.topic=t`, { body: "x" });
      const ready = await call(`${url}/readyz`);
      for (
        const { status, headers, text } of [hub, ready, await call(`${url}/metrics`), await call(`${url}/nothing`)]
      ) {
        assert.deepEqual([status, headers["retry-after"]], [503, "60"]);
        assert.match(text, /^[^\n]+\.\n$/);
      }
      assert.ok(ready.text.startsWith(`The edge cannot start: ${why}`), ready.text);
      assert.ok(!hub.text.includes("TIDINGS_"), hub.text);
      await eventually("the log line", () => output.includes(why), { seen: () => output });
      assert.equal(output.split(why).length, 2, output);
      for (const secret of [SECRET, EDGE_KEY.d]) assert.ok(!`${output}${hub.text}${ready.text}`.includes(secret));
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
      await rm(directory, { recursive: true, force: true });
    }
  }
});
