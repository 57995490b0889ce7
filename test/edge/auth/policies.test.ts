import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Client } from "../../../edge/auth/client.ts";
import { type Action, POLICIES, type PolicyName } from "../../../edge/auth/policies.ts";

interface Held {
  readonly scopes?: string;
  readonly roles?: string;
  readonly userId?: string;
}

function client({ scopes = "", roles = "", userId: name = "partner" }: Held): Client {
  const words = (text: string) => new Set(text.split(" ").filter(Boolean));
  return {
    issuer: "https://a",
    claim: "sub",
    userId: "7f3e",
    name,
    scopes: words(scopes),
    roles: words(roles),
    expiresAt: Infinity,
  };
}

const ACTIONS: readonly Action[] = ["register", "deregister", "publish", "subscribe", "unsubscribe"];
const PUBLISHER: readonly Action[] = ["register", "deregister", "publish"];
const SUBSCRIBER: readonly Action[] = ["subscribe", "unsubscribe"];
const NOTHING: readonly Action[] = [];
const URL = "https://news.example/feed";

/** What a client with these words may do to a topic; everything else it may not. */
const TABLE: Readonly<Record<PolicyName, readonly [held: Held, topic: string, may: readonly Action[]][]>> = {
  scopes: [
    [{}, URL, NOTHING],
    [{ scopes: "websub:publish" }, URL, PUBLISHER],
    [{ roles: "websub:publish" }, URL, PUBLISHER],
    [{ scopes: "websub:subscribe" }, URL, SUBSCRIBER],
    [{ roles: "websub:subscribe" }, "orders", SUBSCRIBER],
    [{ scopes: "websub:publish", roles: "websub:subscribe" }, URL, ACTIONS],
    [{ scopes: `websub:publish:${URL}` }, URL, PUBLISHER],
    [{ scopes: `websub:publish:${URL}` }, `${URL}/more`, NOTHING],
    [{ scopes: `websub:publish:${URL}` }, URL.slice(0, -1), NOTHING],
    [{ scopes: "websub:publish:https://news.example/*" }, URL, PUBLISHER],
    [{ scopes: "websub:publish:https://news.example/*" }, "https://news.example.evil/feed", NOTHING],
    [{ scopes: "websub:subscribe:ord*" }, "orders", SUBSCRIBER],
    [{ scopes: "websub:subscribe:ord*" }, "or", NOTHING],
    [{ scopes: "websub:subscribe:*" }, "anything", SUBSCRIBER],
    [{ scopes: "websub:subscribe:" }, "anything", NOTHING],
    [{ scopes: "websub:publish:orders:created" }, "orders:created", PUBLISHER],
    // §5.1.1: for policy, escapes of unreserved characters are what they stand for; others are not.
    [{ scopes: "websub:publish:https://a.example/~x" }, "https://a.example/%7Ex", PUBLISHER],
    [{ scopes: "websub:publish:https://a.example/%7Ex" }, "https://a.example/~x", PUBLISHER],
    [{ scopes: "websub:publish:https://a.example/a/*" }, "https://a.example/a%2Fb", NOTHING],
    // Neither a scope's spelling of scheme and host nor the topic's matters; a prefix ends where it is written.
    [{ scopes: "websub:publish:https://A.Example:443" }, "HTTPS://a.example/", PUBLISHER],
    [{ scopes: "websub:publish:HTTPS://A.example/a/*" }, "https://a.EXAMPLE:443/a/b", PUBLISHER],
    [{ scopes: "websub:publish:https://a.example*" }, "https://A.example:8443/b", PUBLISHER],
    [{ scopes: "websub:publish:https://a.example/*" }, "https://a.example:8443/b", NOTHING],
    [{ scopes: "websub:publish:https://a.example:8443*" }, "https://a.example/b", NOTHING],
    [{ scopes: "websub:publisher websub:pub websub:publish2 publish" }, URL, NOTHING],
    [{ scopes: "WEBSUB:PUBLISH" }, URL, NOTHING],
    [{ scopes: "websub:operate websub:auto-verify", roles: "websub:operate" }, URL, NOTHING],
  ],
  wso2: [
    [{}, "t", NOTHING],
    [{ scopes: "register_topic" }, "t", ["register"]],
    [{ scopes: "deregister_topic" }, "t", ["deregister"]],
    [{ scopes: "update_content" }, "t", ["publish"]],
    [{ scopes: "content_update" }, "t", ["publish"]],
    [{ scopes: "subscribe" }, "t", SUBSCRIBER],
    [{ scopes: "unsubscribe" }, "t", ["unsubscribe"]],
    [{ scopes: "register_topic deregister_topic update_content subscribe" }, "t", ACTIONS],
    // They are scopes; a role that happens to be called so is another application's.
    [{ roles: "register_topic subscribe update_content" }, "t", NOTHING],
    [{ scopes: "websub:publish websub:subscribe" }, "t", NOTHING],
  ],
  mosip: [
    [{}, "AUTH_TYPE_STATUS_UPDATE", NOTHING],
    [{ roles: "PUBLISH_MASTERDATA_TITLES_GENERAL" }, "MASTERDATA_TITLES", PUBLISHER],
    [{ roles: "PUBLISH_MASTERDATA_TITLES_GENERAL" }, "MASTERDATA_IDS", NOTHING],
    [{ roles: "PUBLISH_MASTERDATA_TITLES_GENERAL" }, "partner/MASTERDATA_TITLES", NOTHING],
    [{ roles: "SUBSCRIBE_MASTERDATA_TITLES_GENERAL" }, "MASTERDATA_TITLES", SUBSCRIBER],
    [{ roles: "PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL" }, "partner/CREDENTIAL_ISSUED", PUBLISHER],
    [{ roles: "PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL" }, "other/CREDENTIAL_ISSUED", PUBLISHER],
    [{ roles: "PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL" }, "CREDENTIAL_ISSUED", NOTHING],
    [{ roles: "PUBLISH_CREDENTIAL_ISSUED_INDIVIDUAL" }, "partner/CREDENTIAL_ISSUED", NOTHING],
    [{ roles: "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL" }, "partner/CREDENTIAL_ISSUED", SUBSCRIBER],
    [{ roles: "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL" }, "other/CREDENTIAL_ISSUED", NOTHING],
    [
      { roles: "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL", userId: "service-account-partner" },
      "partner/CREDENTIAL_ISSUED",
      SUBSCRIBER,
    ],
    // Keycloak writes user names in lower case, and a topic has the partner's id as MOSIP knows it.
    [
      { roles: "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL", userId: "service-account-partner-a" },
      "Partner-A/CREDENTIAL_ISSUED",
      SUBSCRIBER,
    ],
    [{ roles: "SUBSCRIBE_X_INDIVIDUAL", userId: "Service-Account-PARTNER" }, "partner/X", SUBSCRIBER],
    [{ roles: "SUBSCRIBE_X_INDIVIDUAL" }, "partner/x", NOTHING],
    // The Kelvin sign has the lower case k; it is another letter.
    [{ roles: "SUBSCRIBE_X_INDIVIDUAL", userId: "k" }, "\u212a/X", NOTHING],
    [{ userId: "partner" }, "partner/CREDENTIAL_ISSUED", NOTHING],
    [{ roles: "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL", userId: "service-account-" }, "/CREDENTIAL_ISSUED", NOTHING],
    // Split at the first "/".
    [{ roles: "SUBSCRIBE_a/b_INDIVIDUAL" }, "partner/a/b", SUBSCRIBER],
    [{ scopes: "PUBLISH_MASTERDATA_TITLES_GENERAL" }, "MASTERDATA_TITLES", NOTHING],
  ],
};

for (const [name, rows] of Object.entries(TABLE)) {
  describe(`WIRE §6 policy ${name}`, () => {
    for (const [held, topic, may] of rows) {
      const { scopes, roles, userId } = held;
      const who = [userId, scopes && `scopes ${scopes}`, roles && `roles ${roles}`].filter(Boolean).join(", ");
      it(`${who || "no word"}, topic ${topic}: ${may.join(", ") || "nothing"}`, () => {
        const policy = POLICIES[name as PolicyName];
        assert.deepEqual(ACTIONS.filter((action) => policy(client(held), action, topic) === null), may);
        for (const action of ACTIONS.filter((other) => !may.includes(other))) {
          assert.match(policy(client(held), action, topic)!.text, /^(the (scope|role)|to be)/);
        }
      });
    }
  });
}

describe("WIRE §6 policy mosip: a partner is known by preferred_username alone", () => {
  it("a sub that spells the partner's name is not the partner", () => {
    const roles = "SUBSCRIBE_X_INDIVIDUAL";
    const { name: _, ...nameless } = client({ roles });
    for (const claim of ["sub", "client_id"] as const) {
      const other = { ...nameless, claim, userId: "partner" };
      assert.equal(POLICIES.mosip(other, "subscribe", "partner/X")?.reason, "partner");
      assert.equal(POLICIES.mosip({ ...other, name: "other" }, "subscribe", "partner/X")?.reason, "partner");
    }
    assert.equal(POLICIES.mosip(client({ roles }), "subscribe", "partner/X"), null);
  });
});

describe("WIRE §6 policy scopes: many words and many topics", () => {
  it("words are read once for all topics of a ping, not once for each", () => {
    const words = Array.from({ length: 1_000 }, (_, n) => `websub:publish:https://t.example/${n}/*`);
    let read = 0;
    const held = {
      issuer: "i",
      claim: "sub",
      userId: "u",
      roles: new Set<string>(),
      scopes: Object.assign(new Set(words), {
        [Symbol.iterator]: () => {
          read++;
          return words.values();
        },
      }),
      expiresAt: Infinity,
    } as const;
    for (let n = 0; n < 999; n++) {
      assert.equal(POLICIES.scopes(held, "publish", `https://t.example/${n}/a`), null);
      assert.notEqual(POLICIES.scopes(held, "publish", `https://u.example/${n}/a`), null);
    }
    assert.equal(read, 1);
  });
});
