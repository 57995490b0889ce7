import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Bindings, isOpenToAll, parseBindings } from "../../../../shared/runtime/workerd/settings.ts";
import { SettingsError } from "../../../../shared/settings/settings.ts";
import { EDGE_KEY } from "../../../support/keys.ts";

const LONGEST = 4_000_000;
const GOOD: Bindings = {
  TIDINGS_ACCESS: "public",
  TIDINGS_HUB_URL: "https://hub.example/hub",
  TIDINGS_CORE_URL: "https://core.example",
  TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
};
const CORE = { fetch };

/** What changes in good bindings (undefined: is not bound), and what is said of it. */
const WRONG: readonly [what: string, change: Bindings, says: RegExp][] = [
  ["no key", { TIDINGS_EDGE_KEY: undefined }, /so TIDINGS_EDGE_KEY must be set/],
  [
    "no key, and a service",
    { TIDINGS_EDGE_KEY: undefined, TIDINGS_CORE_URL: undefined, CORE },
    /^TIDINGS_EDGE_KEY is not bound: .*must be a secret$/,
  ],
  ["a key that is a path", { TIDINGS_EDGE_KEY: "/keys/edge.json" }, /^TIDINGS_EDGE_KEY is not JSON$/],
  ["a public key", { TIDINGS_EDGE_KEY: '{"kty":"OKP","x":"Zm9v"}' }, /^TIDINGS_EDGE_KEY is not an Ed25519 private key/],
  ["no access", { TIDINGS_ACCESS: undefined }, /TIDINGS_ACCESS must be set/],
  ["open access", { TIDINGS_ACCESS: "open" }, /TIDINGS_ACCESS must be set/],
  ["no public URL", { TIDINGS_HUB_URL: undefined }, /TIDINGS_HUB_URL must be set/],
  ["no core", { TIDINGS_CORE_URL: undefined }, /^TIDINGS_CORE_URL is not bound/],
  ["a core in the clear", { TIDINGS_CORE_URL: "http://core.example" }, /^TIDINGS_CORE_URL .* must be https$/],
  ["a core that is no service", { CORE: "https://core.example" }, /^CORE must be bound to a service/],
  [
    "a misspelt name",
    { TIDINGS_ACESS: "token" },
    /^TIDINGS_ACESS is not a setting; the nearest one is TIDINGS_ACCESS$/,
  ],
  ["a wrong value", { TIDINGS_LEASE_MIN: "soon" }, /^TIDINGS_LEASE_MIN must be .*, not "soon"$/],
  ["a number", { TIDINGS_REQUESTS_PER_CLIENT: 5 }, /^TIDINGS_REQUESTS_PER_CLIENT must be bound as text/],
  ["a certificate", { TIDINGS_EDGE_TLS_CERT: "c.pem" }, /^TIDINGS_EDGE_TLS_CERT has no effect on a Worker/],
  ["an issuer's authority", { TIDINGS_ISSUER_CA: "ca.pem" }, /^TIDINGS_ISSUER_CA has no effect on a Worker: .*public/],
  ["an authority", { TIDINGS_CORE_CA: "ca.pem" }, /^TIDINGS_CORE_CA has no effect on a Worker: .*tunnel/],
  [
    "proxies",
    { TIDINGS_TRUSTED_PROXIES: "10.0.0.0/8" },
    /^TIDINGS_TRUSTED_PROXIES has no effect .*TIDINGS_ADDRESS_HEADER$/,
  ],
  [
    "messages beyond its memory",
    { TIDINGS_MESSAGE_MAX_BYTES: "4000001" },
    /^TIDINGS_MESSAGE_MAX_BYTES .*4000000 at most$/,
  ],
];

function bound(change: Bindings): Bindings {
  return Object.fromEntries(Object.entries({ ...GOOD, ...change }).filter(([, value]) => value !== undefined));
}

describe("the bindings of a Worker", () => {
  it("are settings, a key, and perhaps a service", () => {
    const { settings, key, core } = parseBindings(bound({ CORE, TIDINGS_MESSAGE_MAX_BYTES: "4000000" }), LONGEST);
    assert.deepEqual([settings.access, settings.messageMaxBytes, key], ["public", 4_000_000, EDGE_KEY]);
    assert.equal(core, CORE);
    assert.equal(parseBindings(GOOD, LONGEST).core, undefined);
  });

  it("need not say where a core is that is bound as a service", () => {
    assert.deepEqual(parseBindings(bound({ CORE, TIDINGS_CORE_URL: undefined }), LONGEST).settings.coreUrl, [
      "http://127.0.0.1:9192",
    ]);
  });

  it("may be others than ours: they are left alone", () => {
    parseBindings(bound({ ASSETS: {}, NAME: "x", N: 1 }), LONGEST);
  });

  for (const [what, change, says] of WRONG) {
    it(`with ${what} are refused by one sentence that names the binding and no secret`, () => {
      assert.throws(() => parseBindings(bound(change), LONGEST), (error) => {
        assert.ok(error instanceof SettingsError, String(error));
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /\n/);
        for (const secret of [EDGE_KEY.d, "Zm9v", "/keys/"]) assert.ok(!error.message.includes(secret));
        return true;
      });
    });
  }

  it("say open access only for callers of a loopback address", () => {
    const { settings } = parseBindings(bound({ TIDINGS_ACCESS: "open", TIDINGS_EDGE_LISTEN: "127.0.0.1:80" }), LONGEST);
    for (const url of ["http://127.0.0.1/hub", "http://[::1]:80/", "http://localhost/"]) {
      assert.equal(isOpenToAll(settings, url), false, url);
    }
    for (const url of ["https://hub.example/hub", "http://203.0.113.7/", "http://localhost.example/", "http://[/hub"]) {
      assert.equal(isOpenToAll(settings, url), true, url);
    }
    assert.equal(isOpenToAll(parseBindings(GOOD, LONGEST).settings, "https://hub.example/hub"), false);
  });
});
