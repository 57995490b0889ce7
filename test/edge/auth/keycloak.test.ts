// Tokens as Keycloak shapes them, as MOSIP's clients send them, under MOSIP's policy.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { tokenAccess } from "../../../edge/auth/access.ts";
import { openEdge, type OwnEdge } from "../../support/rigs/edge.ts";
import { type FakeCore, openFakeCore } from "../../support/rigs/fake-core.ts";
import { encodeForm } from "../../support/form.ts";
import { call } from "../../support/servers/http.ts";
import { type Issuer, openIssuer } from "../../support/servers/issuer.ts";
import { openTokenAccess, type OwnTokenAccess } from "../../support/rigs/token-access.ts";

describe("WIRE §6 MOSIP's clients with Keycloak's tokens", () => {
  let issuer: Issuer;
  let core: FakeCore;
  let access: OwnTokenAccess;
  let edge: OwnEdge;
  before(async () => {
    [issuer, core] = await Promise.all([openIssuer("/auth/realms/mosip"), openFakeCore()]);
    access = openTokenAccess({ ISSUER: issuer.url, AUDIENCE: "mosip-partner-client", POLICY: "mosip" });
    edge = await openEdge([core.origin], { access: tokenAccess(access) });
  });
  after(async () => {
    await edge.close();
    await Promise.all([issuer.close(), core.close(), access.close()]);
  });

  /** A client-credentials token as Keycloak 26 makes it, `aud` being what its "account" mapper leaves. */
  const token = (roles: readonly string[], more: Record<string, unknown> = {}) =>
    issuer.token({
      jti: "trrtcc:0b1e",
      aud: "account",
      sub: "b1f4-uuid",
      typ: "Bearer",
      azp: "mosip-partner-client",
      acr: "1",
      realm_access: { roles: [...roles, "default-roles-mosip", "offline_access"] },
      resource_access: { account: { roles: ["manage-account"] } },
      scope: "profile email",
      clientHost: "10.0.0.1",
      preferred_username: "service-account-mpartner",
      ...more,
    });

  const hub = (cookie: string, mode: string, topic: string, more: Record<string, string> = {}) =>
    call(`${edge.url}/hub`, {
      body: encodeForm({ "hub.mode": mode, "hub.topic": topic, ...more }),
      headers: { "content-type": "application/x-www-form-urlencoded", cookie: `Authorization=${cookie}` },
    });
  const SUBSCRIBE = { "hub.callback": "http://127.0.0.1:9999/callback", "hub.secret": "s" };

  it("register, publish and subscribe by the roles of the event, in a cookie", async () => {
    const publisher = await token(["PUBLISH_CA_CERTIFICATE_UPLOADED_GENERAL"]);
    assert.equal((await hub(publisher, "register", "CA_CERTIFICATE_UPLOADED")).status, 200);
    assert.equal((await hub(publisher, "register", "OTHER")).status, 403);
    assert.equal((await hub(publisher, "subscribe", "CA_CERTIFICATE_UPLOADED", SUBSCRIBE)).status, 403);
    const subscriber = await token(["SUBSCRIBE_CA_CERTIFICATE_UPLOADED_GENERAL"]);
    assert.equal((await hub(subscriber, "subscribe", "CA_CERTIFICATE_UPLOADED", SUBSCRIBE)).status, 202);
  });

  it("a partner's own events are the partner's, known by its user id", async () => {
    const partner = await token(["SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL"]);
    assert.equal((await hub(partner, "subscribe", "mpartner/CREDENTIAL_ISSUED", SUBSCRIBE)).status, 202);
    const operation = core.operations.findLast(({ kind }) => kind === "intent");
    assert.ok(operation?.kind === "intent");
    const { sub: userId } = JSON.parse(Buffer.from(partner.split(".")[1]!, "base64url").toString()) as { sub: string };
    const name = "service-account-mpartner";
    assert.deepEqual(operation.client, { issuer: issuer.url, userId, claim: "sub", name });
    assert.equal((await hub(partner, "subscribe", "other/CREDENTIAL_ISSUED", SUBSCRIBE)).status, 403);
    const idRepo = await token(["PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL"], {
      preferred_username: "service-account-id",
    });
    assert.equal((await hub(idRepo, "register", "mpartner/CREDENTIAL_ISSUED")).status, 200);
  });

  it("azp stands in for the audience; another client's token does not", async () => {
    const roles = ["PUBLISH_X_GENERAL"];
    assert.equal((await hub(await token(roles, { azp: "other" }), "register", "X")).status, 401);
    assert.equal(
      (await hub(await token(roles, { azp: "other", aud: ["mosip-partner-client"] }), "register", "X")).status,
      200,
    );
  });
});
