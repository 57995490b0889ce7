// What limits a request is what routes it: however a path is written, nobody passes a limit by it. The same on workerd:
// test/edge/worker/requests.test.ts.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ROUTES } from "../../edge/routes.ts";
import { openEdge, type OwnEdge } from "../support/rigs/edge.ts";
import { type FakeCore, openFakeCore } from "../support/rigs/fake-core.ts";
import { call } from "../support/servers/http.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";
import { passesLimits } from "./passes-limits.ts";
import { NO_PATHS, PATHS, spellingsOf } from "./spellings.ts";

describe("an address that is over its limit", () => {
  let core: FakeCore;
  let edge: OwnEdge;
  before(async () => {
    core = await openFakeCore();
    edge = await openEdge([core.origin], { limits: { requestsPerAddress: 1 } });
    let last = 0;
    for (let n = 0; n < 200 && last !== 429; n++) last = (await call(`${edge.url}/hub`)).status;
    assert.equal(last, 429);
  });
  after(async () => {
    await edge.close();
    await core.close();
  });

  const passes = async (method: string, targets: readonly string[]) => {
    const found = [];
    for (const target of targets) {
      const passed = await passesLimits(edge.port, method, target);
      if (passed !== undefined) found.push(`${method} ${JSON.stringify(target)}: ${passed}`);
    }
    return found;
  };

  for (const method of ["GET", "POST"]) {
    it(`has no ${method} answered but probes, in any spelling of any path`, async () => {
      const targets = [...PATHS.flatMap((path) => spellingsOf(path, "127.0.0.1")), ...NO_PATHS];
      assert.deepEqual(await passes(method, [...new Set(targets)]), []);
    });
  }

  it("has no other method answered, either", async () => {
    const targets = [
      ...["/hub", "/healthz", "/metrics"].flatMap((path) => spellingsOf(path, "127.0.0.1")),
      ...NO_PATHS,
    ];
    for (const method of ["OPTIONS", "PUT", "TRACE", "CONNECT", "PROPFIND", "get"]) {
      assert.deepEqual(await passes(method, targets), []);
    }
    assert.deepEqual([core.contents.length, core.operations.length], [0, 0]);
  });

  it("has its probes answered all the same", async () => {
    for (const { path, limit } of ROUTES) {
      if (limit === "probe") assert.equal((await call(`${edge.url}${path}/?x=1`)).status, 200, path);
    }
  });
});

describe("a request target", () => {
  it("without a host, with a user or with a fragment is 400 with a sentence, whatever its path", async () => {
    const core = await openFakeCore();
    await using edge = await openEdge([core.origin]);
    for (const target of ["http:///metrics", "http:///hub", "http://?x", "http://u@h/hub", "http://@/hub", "/hub#x"]) {
      const { status, body } = await exchangeRaw(edge.port, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.equal(status, 400, `${target}: ${status} ${body}`);
      assert.match(body, /^The request [^\n]+\.\n$/);
    }
    await core.close();
  });
});
