import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { runtime } from "../../shared/runtime/which.ts";
import { type Child, runChild } from "../support/hub/child.ts";
import { parameterOf } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { freePort } from "../support/free-port.ts";
import { openStandInHub } from "../support/hub/stand-in-hub.ts";

const TIDINGS = new URL("../../cli/tidings.ts", import.meta.url);

/** Runs `listen` with these arguments. */
function runListen(...args: readonly string[]): Child {
  return runListenUnder("npm/11.0.0 node/v24.0.0", ...args);
}

/** The same, run by this package manager. */
function runListenUnder(manager: string, ...args: readonly string[]): Child {
  return runChild(TIDINGS, { args: ["listen", ...args], settings: { npm_config_user_agent: manager } });
}

/** How a hub is started on the runtime of this test: by npm, and without it. */
const START = {
  node: { npm: "npm start", alone: "npm start" },
  deno: { npm: "npm run start:deno", alone: "deno task start" },
  bun: { npm: "npm run start:bun", alone: "bun run start:bun" },
}[runtime()];

describe("npm run listen", () => {
  it("subscribes, prints what comes, and unsubscribes on Ctrl-C", async () => {
    await using hub = await openStandInHub();
    const port = String(await freePort());
    const token = "head.claims.signature";
    await using listen = runListen("--hub", hub.url, "--port", port, "--lease", "7200", "--token", token, "a topic");
    await listen.says(/^Subscribed to a topic for 2 hours; the callback is http:\/\/127\.0\.0\.1:\d+\/$/m);
    const callback = `http://127.0.0.1:${port}/`;
    const secret = parameterOf(hub.requests[0]?.body.toString() ?? "", "hub.secret") ?? "";
    assert.match(secret, /^[0-9a-f]{64}$/, "random by default");
    const body = '{"hello":"world"}\n';
    const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
    const headers = { "content-type": "application/json", "webhook-id": "msg_1", "x-hub-signature": signature };
    assert.equal((await call(callback, { body, headers })).status, 204);
    await listen.says(/msg_1 {2}application\/json {2}18 B {2}signature good {2}\{"hello":"world"\}·\n/);
    assert.equal((await call(callback, { body: "forged", headers })).status, 403);
    await listen.says(/NOT TRUSTED: X-Hub-Signature wrong/);

    listen.signal("SIGINT");
    assert.deepEqual(await listen.ended, { code: 0, signal: null });
    assert.match(listen.stdout(), /Unsubscribed\.\n$/);
    assert.equal(parameterOf(hub.requests.at(-1)?.body.toString() ?? "", "hub.mode"), "unsubscribe");
    for (const { headers } of hub.requests) assert.equal(headers["authorization"], `Bearer ${token}`);
    for (const hidden of [secret, token]) {
      assert.ok(!(listen.stdout() + listen.stderr()).includes(hidden), "no secret and no token is shown");
    }
  });

  it("says in one sentence what is wrong, and ends with 1", async () => {
    await using hub = await openStandInHub();
    hub.manners = { status: 400, text: "hub.topic is too long.", asks: false };
    const free = String(await freePort());
    const taken = hub.url.replace(/.*:(\d+).*/, "$1");
    const cases: [string[], RegExp][] = [
      [
        ["--hub", `http://127.0.0.1:${free}/hub`, "--port", "0", "t"],
        /^listen: The hub at .* cannot be reached \(.*(?:ECONNREFUSED|Connection refused).*\); is it running\? \(npm .*start.*\)\n$/,
      ],
      [
        ["--hub", hub.url, "--port", "0", "t"],
        /^listen: The hub at .* refused the subscribe with 400: hub\.topic is too long\.\n$/,
      ],
      [["--hub", hub.url, "--port", taken, "t"], /^listen: .*port \d+ is already in use\n$/],
      [["--port", "x", "t"], /^listen: --port must be a whole number from 0 to 65535, not "x"\n$/],
      [["--hub", "127.0.0.1:9191", "t"], /^listen: --hub must be an http or https URL/],
      [["--token", "two words", "t"], /^listen: --token is no access token\n$/],
      [[], /^listen: Name one topic, not 0\.\nUsage: /],
      [["--nonsense", "t"], /^listen: Unknown option '--nonsense'/],
    ];
    await Promise.all(cases.map(async ([args, sentence]) => {
      await using listen = runListen(...args);
      const { code } = await listen.ended;
      assert.match(listen.stderr(), sentence);
      assert.equal(code, 1);
    }));
  });

  it("says how to start a hub with what there is: this runtime, by npm or without it", async () => {
    const hub = `http://127.0.0.1:${await freePort()}/hub`;
    for (const [manager, start] of [["npm/11.0.0 node/v24.0.0", START.npm], ["", START.alone]] as const) {
      await using listen = runListenUnder(manager, "--hub", hub, "--port", "0", "t");
      await listen.ended;
      assert.ok(listen.stderr().endsWith(`; is it running? (${start})\n`), listen.stderr());
    }
  });

  it("ends with 1 when the hub denies the subscription later", async () => {
    await using hub = await openStandInHub();
    await using listen = runListen("--hub", hub.url, "--port", "0", "t");
    const [, callback = ""] = await listen.says(/the callback is (\S+)/);
    await hub.challenge(callback, { "hub.mode": "denied", "hub.topic": "t", "hub.reason": "deregistered" });
    assert.equal((await listen.ended).code, 1);
    assert.match(listen.stderr(), /there is no subscription: deregistered/);
  });
});
