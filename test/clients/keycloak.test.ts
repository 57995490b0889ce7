// Tokens of a real Keycloak: policies, refusals, new keys, lightweight tokens.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { KEYCLOAK_VERSION } from "../support/keycloak/distribution.ts";
import { createRealm, type Realm } from "../support/keycloak/realm.ts";
import { type KeycloakForTests, keycloakForTests, whyNoKeycloak } from "../support/keycloak/shared.ts";
import { type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import type { Reply } from "../support/servers/http.ts";
import { openKeycloakHub, publish, register, subscribe } from "./keycloak-hub.ts";

const NAME = `Keycloak ${KEYCLOAK_VERSION}`;
const skip = await whyNoKeycloak();

function refused(reply: Reply, status: 401 | 403, description: RegExp): void {
  assert.equal(reply.status, status, reply.text);
  assert.match(String(reply.headers["www-authenticate"]), description);
}

describe(`third-party client: tokens of ${NAME}`, { skip, timeout: 180_000 }, () => {
  let [keycloak, realm, callbacks]: [KeycloakForTests?, Realm?, CallbackServer?] = [];
  const hubs: OwnHub[] = [];
  const open = async (settings: Readonly<Record<string, string>>, issuer: string | null = realm!.issuer) => {
    const hub = await openKeycloakHub(issuer, settings);
    hubs.push(hub);
    return hub;
  };
  const MOSIP = { TIDINGS_POLICY: "mosip", TIDINGS_AUDIENCE: "publisher,ABC-Partner" };
  before(async () => {
    [keycloak, callbacks] = await Promise.all([keycloakForTests(), openCallbackServer()]);
    realm = await createRealm(keycloak.origin, `realm-${process.pid}`);
    await realm.createClient("publisher", {
      roles: ["PUBLISH_NEWS_GENERAL", "PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL"],
    });
    await realm.createClient("ABC-Partner", {
      roles: ["SUBSCRIBE_NEWS_GENERAL", "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL"],
    });
    await realm.createClient("by-scope", {
      scopes: ["websub:publish:news/*", "websub:subscribe"],
      audiences: ["the-hub"],
    });
    await realm.createClient("light", { lightweight: true, roles: ["websub:publish"], audiences: ["the-hub"] });
    await realm.createClient("the-hub", { audiences: ["the-hub"] });
  });
  after(async () => {
    await Promise.all(hubs.map((hub) => hub.close()));
    await callbacks?.close();
    await keycloak?.[Symbol.asyncDispose]();
  });

  it(`${NAME}: publish: policy mosip goes by realm roles, and by azp where aud is only "account"`, async () => {
    const hub = await open(MOSIP);
    const [publisher, partner] = [await realm!.token("publisher"), await realm!.token("ABC-Partner")];
    assert.equal((await register(hub, publisher, "NEWS")).status, 200);
    assert.equal((await register(hub, publisher, "ABC-Partner/CREDENTIAL_ISSUED")).status, 200);
    assert.equal((await publish(hub, publisher, "NEWS", "x")).status, 200);
    refused(await publish(hub, partner, "NEWS", "x"), 403, /needs the role PUBLISH_NEWS_GENERAL/);
    refused(await publish(hub, await realm!.token("by-scope"), "NEWS", "x"), 401, /audience/);
    refused(await publish(hub, "made-up", "NEWS", "x"), 401, /invalid_token/);

    const callback = callbacks!.callback();
    for (const topic of ["NEWS", "ABC-Partner/CREDENTIAL_ISSUED"]) {
      const own = topic === "NEWS" ? callback : callbacks!.callback();
      assert.equal((await subscribe(hub, partner, topic, own.url)).status, 202);
      await own.challenged();
      await eventually("a subscription that delivers", async () => {
        assert.equal((await publish(hub, publisher, topic, `about ${topic}`)).status, 200);
        return own.deliveries.length > 0;
      }, { everyMs: 100 });
      assert.equal(own.deliveries[0]!.body.toString(), `about ${topic}`);
    }
    refused(await subscribe(hub, partner, "OTHER/CREDENTIAL_ISSUED", callback.url), 403, /partner/);
    refused(await subscribe(hub, publisher, "NEWS", callback.url), 403, /SUBSCRIBE_NEWS_GENERAL/);
  });

  it(`${NAME}: subscribe: policy scopes goes by client scopes and the audience of a mapper`, async () => {
    const hub = await open({ TIDINGS_POLICY: "scopes", TIDINGS_AUDIENCE: "the-hub" });
    const token = await realm!.token("by-scope");
    assert.equal((await register(hub, token, "news/today")).status, 200);
    refused(await register(hub, token, "other"), 403, /websub:publish/);
    const callback = callbacks!.callback();
    assert.equal((await subscribe(hub, token, "news/today", callback.url)).status, 202);
    await callback.challenged();
    refused(await register(hub, await realm!.token("publisher"), "news/today"), 401, /audience/);
  });

  it(`${NAME}: refusals: a wrong ISSUER or AUDIENCE is answered and logged with both names`, async () => {
    const jwks = `${realm!.issuer}/protocol/openid-connect/certs`;
    const other = "https://keycloak.example/realms/mosip";
    const [byIssuer, byAudience] = [
      await open({ ...MOSIP, TIDINGS_JWKS_URL: jwks }, other),
      await open({ ...MOSIP, TIDINGS_AUDIENCE: "another-hub" }),
    ];
    const token = await realm!.token("publisher");
    refused(await register(byIssuer, token, "NEWS"), 401, /error_description="[^"]*issuer/);
    refused(await register(byAudience, token, "NEWS"), 401, /error_description="[^"]*audience/);
    await eventually(
      "both names of the issuer in the log",
      () => byIssuer.output().includes(other) && byIssuer.output().includes(realm!.issuer),
      { seen: () => byIssuer.output() },
    );
    await eventually(
      "both audiences in the log",
      () => ["another-hub", "account"].every((name) => byAudience.output().includes(name)),
      { seen: () => byAudience.output() },
    );
  });

  it(`${NAME}: new keys: a token under a new key is taken on its first use, twice in a row`, async () => {
    const own = await createRealm(keycloak!.origin, `rotating-${process.pid}`);
    await own.createClient("publisher", { roles: ["PUBLISH_NEWS_GENERAL"] });
    const hub = await open(MOSIP, own.issuer);
    assert.equal((await register(hub, await own.token("publisher"), "NEWS")).status, 200);
    const keys = new Set<string>();
    for (const round of [1, 2]) {
      await own.rotateKeys();
      const token = await own.token("publisher");
      keys.add(keyOf(token));
      const reply = await publish(hub, token, "NEWS", `round ${round}`);
      assert.equal(reply.status, 200, reply.text);
    }
    assert.equal(keys.size, 2);
  });

  it(`${NAME}: introspection: a lightweight token has its rights by introspection, and none once it is revoked`, async () => {
    // With TIDINGS_ISSUER, a JWT would be verified by its keys, and this one names no role.
    const hub = await open({
      TIDINGS_POLICY: "scopes",
      TIDINGS_AUDIENCE: "the-hub",
      TIDINGS_INTROSPECTION_URL: realm!.introspectionUrl,
      TIDINGS_INTROSPECTION_CLIENT_ID: "the-hub",
      TIDINGS_INTROSPECTION_CLIENT_SECRET: "the-hub-secret",
    }, null);
    const [used, revoked] = [await realm!.token("light"), await realm!.token("light")];
    assert.doesNotMatch(Buffer.from(used.split(".")[1]!, "base64url").toString(), /websub:publish/);
    const taken = await register(hub, used, "light/topic");
    assert.equal(taken.status, 200, taken.text);
    await realm!.revoke("light", revoked);
    refused(await register(hub, revoked, "light/topic"), 401, /not active/);
  });
});

/** The key id in a JWT's header. */
function keyOf(token: string): string {
  const header = Buffer.from(token.split(".")[0]!, "base64url").toString();
  return (JSON.parse(header) as { readonly kid: string }).kid;
}
