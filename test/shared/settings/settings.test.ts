import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSettings, printSettings, ROWS, SettingsError } from "../../../shared/settings/settings.ts";

const TOKENS = { TIDINGS_ACCESS: "token", TIDINGS_ISSUER: "https://a.example/realm", TIDINGS_AUDIENCE: "hub" };
const KAFKA = { TIDINGS_KAFKA_BROKERS: "localhost:9092,kafka.example:9092" };

function sasl(given: Record<string, string>): Record<string, string> {
  const named = Object.entries({ MECHANISM: "scram-sha-256", ...given });
  return { ...KAFKA, ...Object.fromEntries(named.map(([name, value]) => [`TIDINGS_KAFKA_SASL_${name}`, value])) };
}

const refusals: readonly [title: string, environment: Record<string, string>, message: RegExp][] = [
  [
    "an unknown name, with the nearest known one",
    { TIDINGS_EDGE_LISTN: "x" },
    /^TIDINGS_EDGE_LISTN is not a setting.*TIDINGS_EDGE_LISTEN$/,
  ],
  ["a name of another case", { TIDINGS_log_level: "info" }, /TIDINGS_log_level is not a setting/],
  ["an empty value", { TIDINGS_RETRY_MIN: "" }, /TIDINGS_RETRY_MIN must be a duration .*, not ""$/],
  ["a duration without unit", { TIDINGS_PARK_AFTER: "15" }, /TIDINGS_PARK_AFTER .*15m.*not "15"/],
  ["a fraction of a duration", { TIDINGS_PARK_AFTER: "1.5m" }, /TIDINGS_PARK_AFTER/],
  ["a delivery timeout over 5m", { TIDINGS_DELIVERY_TIMEOUT: "301s" }, /TIDINGS_DELIVERY_TIMEOUT .* to 5m/],
  ["a lease with a unit", { TIDINGS_LEASE_MIN: "60s" }, /TIDINGS_LEASE_MIN must be a whole number of seconds/],
  ["no lease at all", { TIDINGS_LEASE_MIN: "0" }, /TIDINGS_LEASE_MIN/],
  ["a negative size", { TIDINGS_MESSAGE_MAX_BYTES: "-1" }, /TIDINGS_MESSAGE_MAX_BYTES/],
  ["a size in hexadecimal", { TIDINGS_MESSAGE_MAX_BYTES: "0x10" }, /TIDINGS_MESSAGE_MAX_BYTES/],
  ["an address without port", { TIDINGS_EDGE_LISTEN: "127.0.0.1" }, /TIDINGS_EDGE_LISTEN must be host:port/],
  [
    "a network in octal",
    { TIDINGS_OUTBOUND_ALLOW: "010.0.0.0/8" },
    /OUTBOUND_ALLOW .*: write 010\.0\.0\.0\/8 as 10\.0\.0\.0\/8$/,
  ],
  [
    "a short network",
    { TIDINGS_TRUSTED_PROXIES: "::1/128, 10/8" },
    /TRUSTED_PROXIES .*: write 10\/8 as 10\.0\.0\.0\/8$/,
  ],
  [
    "a network with a host in it",
    { TIDINGS_OUTBOUND_ALLOW: "10.1.2.3/8" },
    /: write 10\.1\.2\.3\/8 as 10\.0\.0\.0\/8$/,
  ],
  ["a zero before the bits", { TIDINGS_OUTBOUND_ALLOW: "10.0.0.0/08" }, /: write 10\.0\.0\.0\/08 as 10\.0\.0\.0\/8$/],
  ["an IPv6 network with a host in it", { TIDINGS_OUTBOUND_ALLOW: "fd00::1/8" }, /: write fd00::1\/8 as fd00::\/8$/],
  ["an IPv6 network in long", { TIDINGS_OUTBOUND_ALLOW: "FD00:0::/8" }, /: write FD00:0::\/8 as fd00::\/8$/],
  ["IPv4 inside IPv6", { TIDINGS_OUTBOUND_ALLOW: "::ffff:10.0.0.0/104" }, /: write .* as 10\.0\.0\.0\/8$/],
  ["a network in hexadecimal", { TIDINGS_OUTBOUND_ALLOW: "0x0a.0.0.0/8" }, /TIDINGS_OUTBOUND_ALLOW must be .*8"$/],
  ["more bits than there are", { TIDINGS_OUTBOUND_ALLOW: "10.0.0.0/33" }, /TIDINGS_OUTBOUND_ALLOW must be .*33"$/],
  ["a port to listen on in octal", { TIDINGS_EDGE_LISTEN: "0177.0.0.1:80" }, /TIDINGS_EDGE_LISTEN must be/],
  ["a short address to listen on", { TIDINGS_CORE_OPERATING_LISTEN: "127.1:80" }, /CORE_OPERATING_LISTEN must be/],
  ["a URL in octal", { TIDINGS_CORE_URL: "http://0177.0.0.1:80" }, /TIDINGS_CORE_URL must be/],
  ["a number for a host", { TIDINGS_HUB_URL: "http://2130706433/hub" }, /TIDINGS_HUB_URL must be/],
  ["a broker in octal", { TIDINGS_KAFKA_BROKERS: "010.0.0.1:9092" }, /TIDINGS_KAFKA_BROKERS must be/],
  ["a port over 65535", { TIDINGS_EDGE_LISTEN: "127.0.0.1:65536" }, /TIDINGS_EDGE_LISTEN/],
  ["a bare IPv6 address", { TIDINGS_EDGE_LISTEN: "::1:9191" }, /TIDINGS_EDGE_LISTEN .*brackets/],
  ["brackets around no IPv6 address", { TIDINGS_EDGE_LISTEN: "[1:2]:9191" }, /TIDINGS_EDGE_LISTEN/],
  [
    "a hub URL of another scheme",
    { TIDINGS_HUB_URL: "ftp://hub.example/" },
    /TIDINGS_HUB_URL must be an absolute http/,
  ],
  ["a hub URL with a fragment", { TIDINGS_HUB_URL: "http://hub.example/#a" }, /TIDINGS_HUB_URL/],
  [
    "a hub URL that no Link has room for",
    { TIDINGS_HUB_URL: `http://hub.example/${"x".repeat(256)}` },
    /TIDINGS_HUB_URL must be .* of at most 256/,
  ],
  ["a core URL with a path", { TIDINGS_CORE_URL: "http://127.0.0.1:1/core" }, /TIDINGS_CORE_URL .* without a path/],
  ["an empty list of core URLs", { TIDINGS_CORE_URL: "," }, /TIDINGS_CORE_URL/],
  ["an empty list of brokers", { TIDINGS_KAFKA_BROKERS: "" }, /TIDINGS_KAFKA_BROKERS/],
  ["a broker without port", { TIDINGS_KAFKA_BROKERS: "a:1,b" }, /TIDINGS_KAFKA_BROKERS/],
  ["a prefix that Kafka would refuse", {
    TIDINGS_KAFKA_BROKERS: "a:1",
    TIDINGS_KAFKA_PREFIX: "a/b",
  }, /TIDINGS_KAFKA_PREFIX/],
  [
    "a pattern of topics that no topic can match",
    { TIDINGS_COMPACT_JSON: "a, https://example.com/*#part" },
    /TIDINGS_COMPACT_JSON must be .*patterns with \*, each of which a topic can match, not "a, https:/,
  ],
  ["an address that is no network", { TIDINGS_OUTBOUND_ALLOW: "10.0.0.1" }, /TIDINGS_OUTBOUND_ALLOW .*10\.0\.0\.0\/8/],
  [
    "a proxy that is no network",
    { TIDINGS_TRUSTED_PROXIES: "proxy.example" },
    /TIDINGS_TRUSTED_PROXIES .*10\.0\.0\.0\/8/,
  ],
  ["a negative limit", { TIDINGS_REQUESTS_PER_ADDRESS: "-1" }, /TIDINGS_REQUESTS_PER_ADDRESS must be a whole number/],
  ["headers of a few bytes", { TIDINGS_HEADERS_MAX_BYTES: "100" }, /TIDINGS_HEADERS_MAX_BYTES .*.* from 32768/],
  ["a word that is not on the list", { TIDINGS_SIGNATURE: "md5" }, /TIDINGS_SIGNATURE must be one of sha1, sha256/],
  [
    "access that is none of the three",
    { TIDINGS_ACCESS: "closed" },
    /TIDINGS_ACCESS must be one of open, public, token/,
  ],
  [
    "tokens without an identity provider",
    { TIDINGS_ACCESS: "token", TIDINGS_AUDIENCE: "hub" },
    /set TIDINGS_ISSUER, or/,
  ],
  ["tokens without an audience", { TIDINGS_ACCESS: "token", TIDINGS_ISSUER: "https://a" }, /needs TIDINGS_AUDIENCE/],
  ["an issuer that is no URL", { ...TOKENS, TIDINGS_ISSUER: "realm" }, /TIDINGS_ISSUER must be/],
  ["an issuer with a query", { ...TOKENS, TIDINGS_ISSUER: "https://a?b" }, /TIDINGS_ISSUER must be/],
  [
    "tokens' settings in open access",
    { TIDINGS_ISSUER: "https://a" },
    /TIDINGS_ISSUER is set but TIDINGS_ACCESS is open/,
  ],
  ["a policy in public access", { TIDINGS_ACCESS: "public", TIDINGS_POLICY: "wso2" }, /POLICY is set but .* is public/],
  ["two issuers and one key set", {
    ...TOKENS,
    TIDINGS_ISSUER: "https://a,https://b",
    TIDINGS_JWKS_URL: "https://a/keys",
  }, /JWKS_URL must name as many URLs/],
  ["introspection without the hub's own secret", {
    ...TOKENS,
    TIDINGS_INTROSPECTION_URL: "https://a/introspect",
    TIDINGS_INTROSPECTION_CLIENT_ID: "hub",
  }, /TIDINGS_INTROSPECTION_CLIENT_SECRET is not set/],
  ["registered origins while marks count for nothing", {
    ...TOKENS,
    TIDINGS_AUTO_VERIFY_ORIGINS: "a=https://a.example",
  }, /TIDINGS_AUTO_VERIFY is off/],
  ["a registered origin with a path", {
    ...TOKENS,
    TIDINGS_AUTO_VERIFY: "on",
    TIDINGS_AUTO_VERIFY_ORIGINS: "a=https://a.example/x",
  }, /TIDINGS_AUTO_VERIFY_ORIGINS must be/],
  ["a registered origin whose issuer is not known", {
    ...TOKENS,
    TIDINGS_AUTO_VERIFY: "on",
    TIDINGS_AUTO_VERIFY_ORIGINS: "https://other a=https://a.example",
  }, /must name one of TIDINGS_ISSUER before "a"/],
  ["a registered origin that could be of either issuer", {
    ...TOKENS,
    TIDINGS_ISSUER: "https://a,https://b",
    TIDINGS_AUTO_VERIFY: "on",
    TIDINGS_AUTO_VERIFY_ORIGINS: "a=https://a.example",
  }, /must name one of TIDINGS_ISSUER before "a"/],
  ["LEASE_MIN over LEASE_MAX", {
    TIDINGS_LEASE_MIN: "10",
    TIDINGS_LEASE_MAX: "9",
  }, /LEASE_MIN must not be more than TIDINGS_LEASE_MAX/],
  ["LEASE_DEFAULT outside its bounds", { TIDINGS_LEASE_MAX: "100" }, /LEASE_DEFAULT must lie between/],
  [
    "RETRY_MIN over RETRY_MAX",
    { TIDINGS_RETRY_MIN: "10m" },
    /RETRY_MIN must not be more than TIDINGS_RETRY_MAX/,
  ],
  [
    "a Kafka prefix without brokers",
    { TIDINGS_KAFKA_PREFIX: "x" },
    /TIDINGS_KAFKA_PREFIX is set but TIDINGS_KAFKA_BROKERS/,
  ],
  ["an edge off loopback without a word on access", {
    TIDINGS_EDGE_LISTEN: "0.0.0.0:9191",
    TIDINGS_HUB_URL: "https://hub.example/",
  }, /TIDINGS_ACCESS must be set: to token, or to public/],
  ["the same on every IPv6 address", { TIDINGS_EDGE_LISTEN: "[::]:9191" }, /TIDINGS_ACCESS must be set/],
  ["open access off loopback", {
    TIDINGS_EDGE_LISTEN: "0.0.0.0:9191",
    TIDINGS_ACCESS: "open",
  }, /ACCESS=open lets anyone do anything, so TIDINGS_ACCESS must be set/],
  ["an edge off loopback that does not know its own URL", {
    ...TOKENS,
    TIDINGS_EDGE_LISTEN: "10.0.0.1:9191",
  }, /TIDINGS_HUB_URL must be set/],
  ["SASL without a password", sasl({ USERNAME: "a" }), /scram-sha-256, so TIDINGS_KAFKA_SASL_PASSWORD must be set/],
  ["SASL without a mechanism", { ...KAFKA, TIDINGS_KAFKA_SASL_USERNAME: "a" }, /KAFKA_SASL_MECHANISM must be/],
  ["SASL of another mechanism", sasl({ MECHANISM: "gssapi" }), /KAFKA_SASL_MECHANISM must be one of plain, scram/],
  [
    "a token's URL for a password",
    sasl({ USERNAME: "a", PASSWORD: "b", TOKEN_URL: "https://a.example/" }),
    /TOKEN_URL is for the mechanism oauthbearer only/,
  ],
  [
    "oauthbearer without a token's URL",
    sasl({ MECHANISM: "oauthbearer", USERNAME: "a", PASSWORD: "b" }),
    /TIDINGS_KAFKA_SASL_TOKEN_URL must be set/,
  ],
  [
    "a password in plain text off loopback",
    sasl({ MECHANISM: "plain", USERNAME: "a", PASSWORD: "b" }),
    /"kafka\.example:9092": set TIDINGS_KAFKA_TLS_CA/,
  ],
  ["a certificate for Kafka without its key", { ...KAFKA, TIDINGS_KAFKA_TLS_CERT: "a" }, /KAFKA_TLS_KEY go together/],
  [
    "a certificate for Kafka without TLS",
    { ...KAFKA, TIDINGS_KAFKA_TLS_CERT: "a", TIDINGS_KAFKA_TLS_KEY: "b" },
    /TIDINGS_KAFKA_TLS_CA must be/,
  ],
  [
    "TLS with Kafka without brokers",
    { TIDINGS_KAFKA_TLS_CA: "system" },
    /KAFKA_TLS_CA is set but TIDINGS_KAFKA_BROKERS/,
  ],
  ["a core off loopback without TLS", { TIDINGS_CORE_LISTEN: "10.0.0.1:9192" }, /CORE_LISTEN .*CORE_TLS_CERT/],
  ["a core off loopback that names no edge", {
    TIDINGS_CORE_LISTEN: "0.0.0.0:9192",
    TIDINGS_CORE_TLS_CERT: "a",
    TIDINGS_CORE_TLS_KEY: "b",
  }, /TIDINGS_CORE_LISTEN .*TIDINGS_EDGE_KEYS/],
  [
    "a core URL off loopback without TLS",
    { TIDINGS_CORE_URL: "https://core.example,http://core.example", TIDINGS_EDGE_KEY: "key" },
    /TIDINGS_CORE_URL "http:\/\/core.example" .*https/,
  ],
  [
    "a core URL off loopback without a key",
    { TIDINGS_CORE_URL: "https://core.example" },
    /TIDINGS_EDGE_KEY must be set/,
  ],
  [
    "a certificate without its key",
    { TIDINGS_EDGE_TLS_CERT: "a" },
    /EDGE_TLS_CERT and TIDINGS_EDGE_TLS_KEY go together/,
  ],
  [
    "a key without its certificate",
    { TIDINGS_CORE_TLS_KEY: "a" },
    /CORE_TLS_CERT and TIDINGS_CORE_TLS_KEY go together/,
  ],
  ["clients' authorities without TLS", { TIDINGS_CORE_CLIENT_CA: "a" }, /CORE_CLIENT_CA .*CORE_TLS_CERT/],
];

describe("settings", () => {
  it("have the defaults of WIRE §8", () => {
    assert.deepEqual(parseSettings({ PATH: "/bin" }), {
      edgeListen: { host: "127.0.0.1", port: 9191 },
      coreListen: { host: "127.0.0.1", port: 9192 },
      edgeOperatingListen: { host: "127.0.0.1", port: 9291 },
      coreOperatingListen: { host: "127.0.0.1", port: 9292 },
      coreUrl: ["http://127.0.0.1:9192"],
      hubUrl: "http://127.0.0.1:9191/hub",
      dataDir: "./data",
      kafkaBrokers: [],
      kafkaPrefix: "tidings",
      kafkaReplication: undefined,
      kafkaTlsCa: undefined,
      kafkaTlsCert: undefined,
      kafkaTlsKey: undefined,
      kafkaSaslMechanism: undefined,
      kafkaSaslUsername: undefined,
      kafkaSaslPassword: undefined,
      kafkaSaslTokenUrl: undefined,
      kafkaSaslScope: undefined,
      access: "open",
      policy: "scopes",
      issuer: [],
      audience: [],
      jwksUrl: [],
      issuerCa: undefined,
      rolesClaim: "realm_access.roles",
      introspectionUrl: undefined,
      introspectionClientId: undefined,
      introspectionClientSecret: undefined,
      edgeKey: undefined,
      edgeKeys: undefined,
      coreKeys: undefined,
      coreTlsCert: undefined,
      coreTlsKey: undefined,
      coreCa: undefined,
      coreClientCa: undefined,
      edgeTlsCert: undefined,
      edgeTlsKey: undefined,
      topicRegistration: "automatic",
      messageMaxBytes: 1_000_000,
      leaseDefaultMs: 864_000_000,
      leaseMinMs: 60_000,
      leaseMaxMs: 7_776_000_000,
      deliveryTimeoutMs: 30_000,
      retryMinMs: 1000,
      retryMaxMs: 300_000,
      parkAfterMs: 900_000,
      probeIntervalMs: 300_000,
      deadLetterAttempts: 5,
      deadLetter500Attempts: 0,
      retentionMs: 604_800_000,
      laneMemoryBytes: 256 * 1024 * 1024,
      signature: "sha256",
      compactJson: [],
      verification: "challenge",
      autoVerify: "off",
      autoVerifyOrigins: [],
      outboundAllow: ["127.0.0.0/8", "::1/128"],
      trustedProxies: [],
      addressHeader: undefined,
      requestsPerAddress: 0,
      requestsPerClient: 5_000,
      subscriptionsPerClient: 100_000,
      topicsPerClient: 100_000,
      verificationsPerHost: 1_000,
      overloadAfterMs: 1_000,
      connections: 10_000,
      headersMaxBytes: 32_768,
      urlMaxBytes: 16_384,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 60_000,
      logLevel: "info",
    });
  });

  it("take what is written", () => {
    const settings = parseSettings({
      TIDINGS_EDGE_LISTEN: "[::1]:0",
      TIDINGS_CORE_LISTEN: "localhost:7000",
      TIDINGS_CORE_URL: "http://127.0.0.1:7000/, http://[::1]:7001",
      TIDINGS_KAFKA_BROKERS: "kafka-0:9092, kafka-1:9092",
      TIDINGS_KAFKA_REPLICATION: "2",
      TIDINGS_LEASE_MIN: "1",
      TIDINGS_RETRY_MIN: "50ms",
      TIDINGS_RETENTION: "12h",
      TIDINGS_COMPACT_JSON: "a/B, https://example.com/t, partner/*",
      TIDINGS_OUTBOUND_ALLOW: "",
    });
    assert.deepEqual(settings.edgeListen, { host: "::1", port: 0 });
    assert.deepEqual(settings.coreListen, { host: "localhost", port: 7000 });
    assert.deepEqual(settings.coreUrl, ["http://127.0.0.1:7000", "http://[::1]:7001"]);
    assert.equal(settings.hubUrl, "http://[::1]:0/hub");
    assert.deepEqual(settings.kafkaBrokers, ["kafka-0:9092", "kafka-1:9092"]);
    assert.equal(settings.kafkaReplication, 2);
    assert.equal(settings.leaseMinMs, 1000);
    assert.equal(settings.retryMinMs, 50);
    assert.equal(settings.retentionMs, 43_200_000);
    assert.deepEqual(settings.compactJson, ["a/B", "https://example.com/t", "partner/*"]);
    assert.deepEqual(settings.outboundAllow, [], "set, it is exactly what it says");
  });

  it("let an edge listen off loopback if access and the hub's URL are set", () => {
    const away = { TIDINGS_EDGE_LISTEN: "0.0.0.0:443", TIDINGS_HUB_URL: "https://hub.example/" };
    assert.deepEqual(parseSettings({ ...away, TIDINGS_ACCESS: "public" }).outboundAllow, []);
    const settings = parseSettings({
      ...away,
      ...TOKENS,
      TIDINGS_AUTO_VERIFY: "on",
      TIDINGS_AUTO_VERIFY_ORIGINS:
        "a b=https://A.example, https://a.example/realm c=http://c.example:8080/, sub:d=https://d.example",
    });
    assert.deepEqual(settings.outboundAllow, [], "no private network but those that are named");
    assert.deepEqual(settings.autoVerifyOrigins, [
      { issuer: undefined, claim: undefined, userId: "a b", origin: "https://a.example:443" },
      { issuer: "https://a.example/realm", claim: undefined, userId: "c", origin: "http://c.example:8080" },
      { issuer: undefined, claim: "sub", userId: "d", origin: "https://d.example:443" },
    ]);
  });

  it("never print the introspection secret", () => {
    const lines = printSettings({
      ...TOKENS,
      TIDINGS_INTROSPECTION_URL: "https://a.example/introspect",
      TIDINGS_INTROSPECTION_CLIENT_ID: "hub",
      TIDINGS_INTROSPECTION_CLIENT_SECRET: "do not print",
    });
    assert.ok(lines.includes("TIDINGS_INTROSPECTION_CLIENT_SECRET=********"));
    assert.doesNotMatch(lines.join("\n"), /do not print/);
  });

  it("are frozen, lists and all", () => {
    const settings = parseSettings({});
    assert.throws(() => Object.assign(settings, { dataDir: "/" }), TypeError);
    assert.throws(() => Object.assign(settings.edgeListen, { port: 1 }), TypeError);
    assert.throws(() => (settings.coreUrl as string[]).push("x"), TypeError);
  });

  it("ignore what tests set and what Kubernetes injects", () => {
    parseSettings({
      TIDINGS_TEST_HUB: "x",
      TIDINGS_SERVICE_HOST: "10.0.0.1",
      TIDINGS_SERVICE_PORT: "80",
      TIDINGS_EDGE_SERVICE_PORT_HTTP: "80",
      TIDINGS_PORT: "tcp://10.0.0.1:80",
      TIDINGS_EDGE_PORT_80_TCP: "tcp://10.0.0.1:80",
      TIDINGS_EDGE_PORT_80_TCP_ADDR: "10.0.0.1",
      TIDINGS_EDGE_PORT_80_UDP_PROTO: "udp",
    });
    for (const name of ["TIDINGS_PORTS", "TIDINGS_EDGE_PORT_X_TCP", "TIDINGS_TESTS"]) {
      assert.throws(() => parseSettings({ [name]: "1" }), SettingsError, name);
    }
  });

  for (const [title, environment, message] of refusals) {
    it(`refuse ${title} in one line`, () => {
      assert.throws(() => parseSettings(environment), (error) => {
        assert.ok(error instanceof SettingsError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
    });
  }

  it("are printed as what is in force, in a form that can be read back", () => {
    const lines = printSettings({ TIDINGS_EDGE_LISTEN: "127.0.0.1:80", TIDINGS_TEST_HUB: "x" });
    assert.ok(lines.includes("TIDINGS_EDGE_LISTEN=127.0.0.1:80"));
    assert.ok(lines.includes("TIDINGS_HUB_URL=http://127.0.0.1:80/hub"));
    assert.ok(lines.includes("# TIDINGS_KAFKA_BROKERS is not set"));
    const readBack = Object.fromEntries(
      lines.filter((line) => !line.startsWith("#")).map((line) => line.split("=", 2) as [string, string]),
    );
    delete readBack["TIDINGS_KAFKA_PREFIX"];
    assert.deepEqual(parseSettings(readBack), parseSettings({ TIDINGS_EDGE_LISTEN: "127.0.0.1:80" }));
    assert.throws(() => printSettings({ TIDINGS_NONSENSE: "1" }), SettingsError);
  });

  it("that are secret are never printed, nor repeated where they are wrong", () => {
    const others = sasl({ USERNAME: "a", PASSWORD: "b" });
    for (const name of ["TIDINGS_EDGE_KEY", "TIDINGS_CORE_KEYS", "TIDINGS_KAFKA_SASL_PASSWORD"]) {
      const lines = printSettings({ ...others, [name]: '{"d":"very secret"}' });
      assert.ok(lines.includes(`${name}=********`));
      assert.doesNotMatch(lines.join("\n"), /very secret/);
      assert.throws(() => parseSettings({ [name]: "very secret\0" }), (error) => {
        return error instanceof SettingsError && !error.message.includes("very");
      });
    }
  });

  it("are printed without what is secret in them, in whatever row it stands", () => {
    const pair = '{"kty":"OKP","crv":"Ed25519","kid":"e","x":"PUBLIC","d":"S3CRET","k":"S3CRET","oth":["S3CRET"]}';
    const tried = [
      pair,
      `{"keys":[${pair}]}`,
      ` {"keys":[${pair}]`,
      `[${pair}]`,
      "-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----",
      "https://id.example/?key=S3CRET",
      "https://id.example/a?key=S3CRET,https://id.example/b?S3CRET",
    ];
    let printed = 0;
    for (const { name } of Object.values(ROWS)) {
      for (const value of tried) {
        // Some rows need others beside them.
        for (const more of [{}, TOKENS, sasl({ USERNAME: "a", PASSWORD: "b" })]) {
          let lines: string[];
          try {
            lines = printSettings({ ...more, [`TIDINGS_${name}`]: value });
          } catch (error) {
            assert.ok(error instanceof SettingsError && !error.message.includes("S3CRET"), `${name}: ${String(error)}`);
            continue;
          }
          printed++;
          if (name === "COMPACT_JSON" && value.includes("://")) continue;
          assert.ok(
            !lines.join("\n").includes("S3CRET"),
            `${name}: ${lines.filter((line) => line.includes("S3CRET")).join()}`,
          );
        }
      }
    }
    assert.ok(printed > 30, String(printed));
    const line = printSettings({ TIDINGS_EDGE_KEYS: `{"keys":[${pair}]}` }).find((one) => one.includes("EDGE_KEYS"));
    assert.equal(line, 'TIDINGS_EDGE_KEYS={"keys":[{"kty":"OKP","crv":"Ed25519","kid":"e","x":"PUBLIC"}]}');
  });

  it("of TLS make the URLs that follow them https", () => {
    const pair = (tier: string) => ({ [`TIDINGS_${tier}_TLS_CERT`]: "a", [`TIDINGS_${tier}_TLS_KEY`]: "b" });
    assert.equal(parseSettings(pair("EDGE")).hubUrl, "https://127.0.0.1:9191/hub");
    assert.deepEqual(parseSettings(pair("CORE")).coreUrl, ["https://127.0.0.1:9192"]);
    const away = { TIDINGS_CORE_LISTEN: "0.0.0.0:9192", TIDINGS_EDGE_KEYS: "edges.json" };
    assert.deepEqual(parseSettings({ ...pair("CORE"), ...away }).coreListen, { host: "0.0.0.0", port: 9192 });
  });
});

describe("what a wrong setting's error repeats", () => {
  const TRIED = [
    '{"kty":"OKP","d":"S3CRET"}',
    "https://user:S3CRET@host.example/?a b",
    "https://user:S3CRET@host.example/",
  ];

  it("is never a key or a password, whichever setting it stands in by mistake", () => {
    let wrong = 0;
    for (const { name } of Object.values(ROWS)) {
      for (const value of TRIED) {
        // Off loopback, so that rules on several settings speak, too.
        const errors = [{}, { TIDINGS_EDGE_LISTEN: "0.0.0.0:1" }, TOKENS].map((more) =>
          errorOf({ ...more, [`TIDINGS_${name}`]: value })
        );
        for (const { message, publicMessage } of errors.filter((error) => error !== undefined)) {
          wrong++;
          assert.ok(!`${message}${publicMessage}`.includes("S3CRET"), message);
        }
      }
    }
    assert.ok(wrong > 100, `${wrong} errors`);
  });

  it("is for strangers nothing of what was found", () => {
    assert.equal(errorOf({ TIDINGS_HUB_URL: "found" })?.publicMessage.includes("found"), false);
    assert.equal(
      errorOf({ TIDINGS_CORE_URL: "http://core.example:1" })?.publicMessage,
      "TIDINGS_CORE_URL is not on loopback, so it must be https",
    );
  });

  function errorOf(environment: Record<string, string>): SettingsError | undefined {
    try {
      parseSettings(environment);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof SettingsError);
      return error;
    }
  }
});
