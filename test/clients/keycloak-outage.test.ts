// A real Keycloak that hangs, goes away and comes back. It is not the one that other files share.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { KEYCLOAK_VERSION } from "../support/keycloak/distribution.ts";
import { type Keycloak, startKeycloak } from "../support/keycloak/keycloak.ts";
import { createRealm, type Realm } from "../support/keycloak/realm.ts";
import { whyNoKeycloak } from "../support/keycloak/shared.ts";
import type { Reply } from "../support/servers/http.ts";
import { openKeycloakHub, register } from "./keycloak-hub.ts";

const NAME = `Keycloak ${KEYCLOAK_VERSION}`;
const skip = await whyNoKeycloak();
/** WIRE §6: what a request waits for a fetch of keys at most, and some time for a loaded machine. */
const SOON_MS = 4_000;

describe(`third-party client: an outage of ${NAME}`, { skip, timeout: 180_000 }, () => {
  let [keycloak, realm, hub]: [Keycloak?, Realm?, OwnHub?] = [];
  let known = "";
  before(async () => {
    keycloak = await startKeycloak();
    realm = await createRealm(keycloak.origin, "outage");
    await realm.createClient("publisher", { roles: ["PUBLISH_NEWS_GENERAL"] });
    hub = await openKeycloakHub(realm.issuer, { TIDINGS_POLICY: "mosip", TIDINGS_AUDIENCE: "publisher" });
    known = await realm.token("publisher");
    assert.equal((await register(hub, known, "NEWS")).status, 200);
  });
  after(async () => {
    await hub?.close();
    await keycloak?.close();
  });

  const use = (token: string) => register(hub!, token, "NEWS");
  /** A token under a key that the hub has never seen. */
  const unknown = async () => {
    await realm!.rotateKeys();
    return await realm!.token("publisher");
  };
  const isUnsure = ({ status, headers, text }: Reply) => {
    assert.equal(status, 503, text);
    assert.match(String(headers["retry-after"]), /^\d+$/);
  };
  const recovers = (token: string) =>
    eventually("the new token's success", async () => (await use(token)).status === 200, {
      deadlineMs: 40_000,
      everyMs: 500,
    });

  it(`${NAME}: hanging: known tokens go on; a new key is 503, with one long wait at most; then it recovers`, async () => {
    const token = await unknown();
    keycloak!.pause();
    try {
      isUnsure(await use(token));
      for (let again = 0; again < 4; again += 1) {
        const reply = await use(token);
        isUnsure(reply);
        assert.ok(reply.elapsedMs < SOON_MS, `waited ${reply.elapsedMs} ms`);
        assert.equal((await use(known)).status, 200);
      }
    } finally {
      keycloak!.resume();
    }
    await recovers(token);
  });

  it(`${NAME}: away: known tokens go on; a new key is 503 at once; then it recovers`, async () => {
    const token = await unknown();
    await keycloak!.stop();
    for (let again = 0; again < 3; again += 1) {
      const reply = await use(token);
      isUnsure(reply);
      assert.ok(reply.elapsedMs < SOON_MS, `waited ${reply.elapsedMs} ms`);
      assert.equal((await use(known)).status, 200);
    }
    await keycloak!.start();
    await recovers(token);
  });
});
