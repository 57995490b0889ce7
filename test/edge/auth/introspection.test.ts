import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { createIntrospect } from "../../../edge/auth/introspection.ts";
import { createAskIssuer } from "../../../edge/auth/issuer-client.ts";
import { NOBODYS } from "../../../shared/shares/requester.ts";
import type { Claim, Standing } from "../../../shared/shares/standing.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { eventually } from "../../support/eventually.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";
import { type Issuer, openIssuer } from "../../support/servers/issuer.ts";

const DEADLINE_MS = 1_500;

async function open() {
  const issuer: Issuer = await openIssuer();
  issuer.opaque.set("good", { sub: "a" });
  const http = createHttpClient();
  const log = keepLines();
  const introspect = createIntrospect({
    url: `${issuer.url}/introspect`,
    clientId: "hub",
    clientSecret: "s3cret-of-the-hub",
    issuers: [],
    ask: createAskIssuer(http),
    logger: log as never,
    now: () => performance.now(),
    deadlineMs: DEADLINE_MS,
  });
  const ask = async (token = "good", claim: Claim = NOBODYS) => {
    const begun = performance.now();
    const error = await introspect(token, claim).then(() => undefined, (refusal: unknown) => refusal);
    assert.ok(error === undefined || error instanceof HubError, String(error));
    return { code: error?.code ?? "active", retryAfterS: error?.retryAfterS, ms: performance.now() - begun };
  };
  const close = async () => {
    await http.close();
    await issuer.close();
  };
  return { issuer, ask, lines: log.lines, [Symbol.asyncDispose]: close };
}

describe("an introspection endpoint", { concurrency: true }, () => {
  it("that hangs costs some requests their wait once; later ones are 503 soon, one question at a time", async () => {
    await using rig = await open();
    const { onIntrospect } = rig.issuer;
    rig.issuer.onIntrospect = () => {};
    const first = rig.ask();
    await eventually("the first question", () => rig.issuer.asked.introspect.length === 1);
    const second = await Promise.all([first, rig.ask("b")]).then(([, other]) => other);
    assert.equal(second.code, "unavailable");
    const asked = rig.issuer.asked.introspect.length;
    const later = await Promise.all(Array.from({ length: 30 }, (_, index) => rig.ask(`later-${index}`)));
    assert.deepEqual(new Set(later.map(({ code }) => code)), new Set(["unavailable"]));
    const longest = Math.max(...later.map(({ ms }) => ms));
    assert.ok(longest < DEADLINE_MS - 100, `${longest} ms: one of them has waited for its question to end`);
    assert.equal(rig.issuer.asked.introspect.length, asked + 1, "one probe at a time");
    rig.issuer.onIntrospect = onIntrospect;
    await eventually("its answer", async () => (await rig.ask()).code === "active");
    assert.match(rig.lines[0]!, /^warn Tokens cannot be introspected: /);
    assert.match(rig.lines[1]!, /^info Tokens can be introspected again, after \d s$/);
    assert.equal(rig.lines.length, 2);
  });

  it("that is slow is not filled by one who makes tokens up: others have their answers, and who was active before first", async () => {
    await using rig = await open();
    const { onIntrospect } = rig.issuer;
    let inFlight = 0;
    let most = 0;
    rig.issuer.onIntrospect = (request, response) => {
      most = Math.max(most, ++inFlight);
      setTimeout(() => {
        inFlight--;
        void onIntrospect(request, response);
      }, 200);
    };
    const of = (requester: string, standing: Standing = "new") => ({ requester, host: "", standing });
    const flood = Array.from({ length: 400 }, (_, index) => rig.ask(`made-up-${index}`, of("attacker")));
    for (let n = 0; n < 10; n++) rig.issuer.opaque.set(`good-${n}`, { sub: "a" });
    const good = await Promise.all(Array.from({ length: 10 }, (_, n) => rig.ask(`good-${n}`, of("client"))));
    const proven = await rig.ask("good", of("attacker", "proven"));
    assert.deepEqual(new Set(good.map(({ code }) => code)), new Set(["active"]));
    const longest = Math.max(...good.map(({ ms }) => ms));
    assert.ok(longest < 2_500, `${longest} ms`);
    assert.equal(proven.code, "active");
    assert.ok(most <= 64, `${most} questions at once`);
    const codes = (await Promise.all(flood)).map(({ code, retryAfterS }) => `${code} ${retryAfterS}`);
    assert.ok(codes.includes("unavailable 1"), "the flood is told to come later");
  });

  it("that refuses the hub's own credentials is 503 for the client, and the log names the settings, not an outage", async () => {
    await using rig = await open();
    const { onIntrospect } = rig.issuer;
    for (
      const [status, body] of [[401, '{"error":"invalid_client"}'], [403, ""], [
        400,
        '{"error":"invalid_client"}',
      ]] as const
    ) {
      rig.issuer.onIntrospect = (_, response) => void response.writeHead(status).end(body);
      const { code, retryAfterS } = await rig.ask(`t-${status}`);
      assert.deepEqual([code, retryAfterS], ["unavailable", 1]);
    }
    assert.equal(rig.lines.length, 1, "not each time");
    assert.match(
      rig.lines[0]!,
      /^warn The introspection endpoint http.*\/introspect refuses the hub's own credentials, TIDINGS_INTROSPECTION_CLIENT_ID and TIDINGS_INTROSPECTION_CLIENT_SECRET: http.* answered 401 invalid_client$/,
    );
    assert.doesNotMatch(rig.lines.join(), /s3cret/);
    rig.issuer.onIntrospect = onIntrospect;
    assert.equal((await rig.ask()).code, "active");
    assert.match(rig.lines[1]!, /^info .* takes the hub's credentials again/);
  });

  it("whose answer is not one of introspection is 503: nothing is known of the token", async () => {
    await using rig = await open();
    for (const body of ["{}", '{"active":"true"}', '{"active":1}', "[]", "<html>"]) {
      rig.issuer.onIntrospect = (_, response) => void response.end(body);
      assert.equal((await rig.ask(body)).code, "unavailable", body);
    }
    rig.issuer.onIntrospect = (_, response) => void response.writeHead(400).end('{"error":"invalid_request"}');
    assert.equal((await rig.ask("x")).code, "unavailable");
  });
});
