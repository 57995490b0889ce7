// The settings (WIRE §8): environment variables with one prefix, read once at start into one frozen object. This table is
// all there is: the parser, `--print-config` and the README's table (`npm run settings-table`) are made of it.
import { kafkaProblem, type SaslMechanism } from "./settings-kafka.ts";
import { transportProblem } from "./settings-transport.ts";
import { closest } from "fastest-levenshtein";
import * as v from "valibot";
import { wrongAccess } from "./settings-access.ts";
import {
  brokers,
  cidrs,
  type ClientOrigin,
  clientOrigins,
  duration,
  httpOrigins,
  httpUrl,
  httpUrls,
  integer,
  issuers,
  listen,
  oneOf,
  path,
  seconds,
  text,
  topics,
  type Value,
  words,
} from "./settings-values.ts";

export const PREFIX = "TIDINGS_";

type Environment = Readonly<Record<string, string | undefined>>;

/** A default that follows another setting; the README's table shows `shown`, or what it makes of the other's name. */
interface Following {
  readonly from: string;
  readonly make: (other: string, isSet: (name: string) => boolean) => string;
  readonly shown?: string;
}

/** A default is text as one would write it, text that follows another setting, or nothing: then `unset` is the value. */
interface Row<T> {
  readonly name: string;
  readonly default: string | Following | null;
  readonly unset?: T;
  readonly what: string;
  readonly value: Value<T>;
  /** Its value is never printed. */
  readonly secret?: true;
}

const row = <T>(row: Row<T>): Row<T> => row;

const ROWS = {
  edgeListen: row({
    name: "EDGE_LISTEN",
    default: "127.0.0.1:9191",
    what: "Where the edge listens; off loopback, `ACCESS` and `HUB_URL` must be set",
    value: listen,
  }),
  coreListen: row({
    name: "CORE_LISTEN",
    default: "127.0.0.1:9192",
    what: "Where the core listens for edges; off loopback with TLS only",
    value: listen,
  }),
  coreUrl: row({
    name: "CORE_URL",
    default: { from: "CORE_LISTEN", make: (at, isSet) => `${isSet("CORE_TLS_CERT") ? "https" : "http"}://${at}` },
    what: "Where the edge finds the core, a list; off loopback https only",
    value: httpOrigins,
  }),
  hubUrl: row({
    name: "HUB_URL",
    default: { from: "EDGE_LISTEN", make: (at, isSet) => `${isSet("EDGE_TLS_CERT") ? "https" : "http"}://${at}/hub` },
    what: 'The hub\'s public URL, as it stands in `Link: rel="hub"`',
    value: httpUrl,
  }),
  dataDir: row({
    name: "DATA_DIR",
    default: "./data",
    what: "Directory of the embedded log and of the replica",
    value: path,
  }),
  kafkaBrokers: row<readonly string[]>({
    name: "KAFKA_BROKERS",
    default: null,
    unset: [],
    what: "Kafka's bootstrap brokers, a list; if set, the log is Kafka, else the embedded one",
    value: brokers,
  }),
  kafkaPrefix: row({
    name: "KAFKA_PREFIX",
    default: "tidings",
    what: "First part of the names of Kafka topics and transactional ids",
    value: text("1 to 100 of A–Z a–z 0–9 . _ -", /^[A-Za-z0-9._-]{1,100}$/),
  }),
  kafkaReplication: row<number | undefined>({
    name: "KAFKA_REPLICATION",
    default: null,
    what: "Replicas of each Kafka topic; unset: 3, or 1 on fewer than three brokers",
    value: integer(1, 99),
  }),
  kafkaTlsCa: row<string | undefined>({
    name: "KAFKA_TLS_CA",
    default: null,
    what: "Set: TLS with Kafka. PEM file of the authorities that certify its brokers, or `system` for the system's",
    value: path,
  }),
  kafkaTlsCert: row<string | undefined>({
    name: "KAFKA_TLS_CERT",
    default: null,
    what: "PEM file of the certificate that the core shows to brokers which ask for one",
    value: path,
  }),
  kafkaTlsKey: row<string | undefined>({
    name: "KAFKA_TLS_KEY",
    default: null,
    what: "PEM file of its private key",
    value: path,
  }),
  kafkaSaslMechanism: row<SaslMechanism | undefined>({
    name: "KAFKA_SASL_MECHANISM",
    default: null,
    what: "How the core says to Kafka who it is: `plain`, `scram-sha-256`, `scram-sha-512` or `oauthbearer`",
    value: oneOf(["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]),
  }),
  kafkaSaslUsername: row<string | undefined>({
    name: "KAFKA_SASL_USERNAME",
    default: null,
    what: "User name, or the client id of `oauthbearer`",
    value: text("a name", /^[^\0]+$/),
  }),
  kafkaSaslPassword: row<string | undefined>({
    name: "KAFKA_SASL_PASSWORD",
    default: null,
    what: "Password, or the client secret of `oauthbearer`",
    value: text("a password", /^[^\0]+$/),
    secret: true,
  }),
  kafkaSaslTokenUrl: row<string | undefined>({
    name: "KAFKA_SASL_TOKEN_URL",
    default: null,
    what: "Where `oauthbearer` gets its tokens, by client credentials",
    value: httpUrl,
  }),
  kafkaSaslScope: row<string | undefined>({
    name: "KAFKA_SASL_SCOPE",
    default: null,
    what: "The scope that such a token is asked for",
    value: text("a scope", /^[\x20-\x7e]+$/),
  }),
  access: row({
    name: "ACCESS",
    default: "open",
    what:
      "Who may do what; `open`: anyone on this machine; `public`: anyone may ping and subscribe, nobody publishes content; `token`: by access tokens",
    value: oneOf(["open", "public", "token"]),
  }),
  policy: row({
    name: "POLICY",
    default: "scopes",
    what:
      "What a token's scopes and roles allow: `scopes` (`websub:publish`, `websub:subscribe:<topic>` …), `wso2` or `mosip`",
    value: oneOf(["scopes", "wso2", "mosip"]),
  }),
  issuer: row<readonly string[]>({
    name: "ISSUER",
    default: null,
    unset: [],
    what:
      "Issuers of access tokens, a list; each by its name alone, exactly as in `iss`: where its keys are is discovered",
    value: issuers,
  }),
  audience: row<readonly string[]>({
    name: "AUDIENCE",
    default: null,
    unset: [],
    what: "What `aud` of a token must name, a list of which one is enough; `*`: any",
    value: words,
  }),
  jwksUrl: row<readonly string[]>({
    name: "JWKS_URL",
    default: null,
    unset: [],
    what: "Where the issuers' keys are, a list in the order of `ISSUER`, instead of discovery",
    value: httpUrls,
  }),
  rolesClaim: row({
    name: "ROLES_CLAIM",
    default: "realm_access.roles",
    what: "The claim that lists a token's roles, a name or a path of names",
    value: text("a claim's name, or a path with dots", /^[^\s\0]{1,256}$/),
  }),
  introspectionUrl: row<string | undefined>({
    name: "INTROSPECTION_URL",
    default: null,
    what: "Where opaque tokens are asked about (RFC 7662)",
    value: httpUrl,
  }),
  introspectionClientId: row<string | undefined>({
    name: "INTROSPECTION_CLIENT_ID",
    default: null,
    what: "The hub's own client id there",
    value: text("a client id", /^[\x20-\x7e]{1,1024}$/),
  }),
  introspectionClientSecret: row<string | undefined>({
    name: "INTROSPECTION_CLIENT_SECRET",
    default: null,
    what: "The hub's own client secret there",
    value: text("a client secret", /^[\x20-\x7e]{1,1024}$/),
    secret: true,
  }),
  edgeKey: row<string | undefined>({
    name: "EDGE_KEY",
    default: null,
    what:
      "The edge's private key, an Ed25519 JWK or the path of a file with it; unset: `edge-key.json` in the data directory, made at first",
    value: text("a JWK or a path", /^[^\0]+$/),
    secret: true,
  }),
  edgeKeys: row<string | undefined>({
    name: "EDGE_KEYS",
    default: null,
    what:
      "The edges that the core answers, a JWKS of their public keys or the path of a file with it; unset: the one of this data directory",
    value: text("a JWKS or a path", /^[^\0]+$/),
  }),
  coreKeys: row<string | undefined>({
    name: "CORE_KEYS",
    default: null,
    what:
      "The keys that secrets are sealed to, a JWKS of X25519 private keys (the first one seals, all open) or the path of a file with it, the same for all cores; unset: `core-keys.json` in the data directory, made at first",
    value: text("a JWKS or a path", /^[^\0]+$/),
    secret: true,
  }),
  coreTlsCert: row<string | undefined>({
    name: "CORE_TLS_CERT",
    default: null,
    what:
      "PEM file of this side's certificate between edge and core: the core serves with it (taken again when it changes), an edge shows it if the core asks",
    value: path,
  }),
  coreTlsKey: row<string | undefined>({
    name: "CORE_TLS_KEY",
    default: null,
    what: "PEM file of its private key",
    value: path,
  }),
  coreCa: row<string | undefined>({
    name: "CORE_CA",
    default: null,
    what: "PEM file of the authorities that the edge trusts to certify the core; unset: the system's",
    value: path,
  }),
  coreClientCa: row<string | undefined>({
    name: "CORE_CLIENT_CA",
    default: null,
    what:
      "PEM file of the authorities that must have certified an edge for the core to answer; unset: edges need no certificate",
    value: path,
  }),
  edgeTlsCert: row<string | undefined>({
    name: "EDGE_TLS_CERT",
    default: null,
    what: "PEM file of the public edge's certificate, taken again when it changes; unset: plain HTTP",
    value: path,
  }),
  edgeTlsKey: row<string | undefined>({
    name: "EDGE_TLS_KEY",
    default: null,
    what: "PEM file of its private key",
    value: path,
  }),
  topicRegistration: row({
    name: "TOPIC_REGISTRATION",
    default: "automatic",
    what: "`automatic`: a topic exists from its first use; `required`: only `hub.mode=register` makes one",
    value: oneOf(["automatic", "required"]),
  }),
  messageMaxBytes: row({
    name: "MESSAGE_MAX_BYTES",
    default: "1000000",
    what: "Largest body of a message, published or fetched",
    value: integer(1, 64 * 1024 * 1024, "bytes"),
  }),
  leaseDefaultMs: row({
    name: "LEASE_DEFAULT",
    default: "864000",
    what: "Seconds of a lease if the subscriber asks for none",
    value: seconds(1, 315_360_000),
  }),
  leaseMinMs: row({
    name: "LEASE_MIN",
    default: "60",
    what: "Shortest lease granted, seconds",
    value: seconds(1, 315_360_000),
  }),
  leaseMaxMs: row({
    name: "LEASE_MAX",
    default: "7776000",
    what: "Longest lease granted, seconds",
    value: seconds(1, 315_360_000),
  }),
  deliveryTimeoutMs: row({
    name: "DELIVERY_TIMEOUT",
    default: "30s",
    what: "How long one attempt may take until its answer",
    value: duration("10ms", "5m"),
  }),
  retryMinMs: row({
    name: "RETRY_MIN",
    default: "1s",
    what: "First gap between attempts; it doubles, with full jitter",
    value: duration("1ms", "1d"),
  }),
  retryMaxMs: row({
    name: "RETRY_MAX",
    default: "5m",
    what: "Longest gap between attempts, and longest `Retry-After` obeyed",
    value: duration("1ms", "1d"),
  }),
  parkAfterMs: row({
    name: "PARK_AFTER",
    default: "15m",
    what: "How long a subscription may fail before it is parked",
    value: duration("1ms", "7d"),
  }),
  probeIntervalMs: row({
    name: "PROBE_INTERVAL",
    default: "5m",
    what: "How often a parked subscription is tried with its next message",
    value: duration("10ms", "7d"),
  }),
  deadLetterAttempts: row({
    name: "DEAD_LETTER_ATTEMPTS",
    default: "5",
    what: "Attempts with a message that the callback answers 400, 413, 415 or 422, before it is a dead letter",
    value: integer(1, 100),
  }),
  retentionMs: row({
    name: "RETENTION",
    default: "7d",
    what: "How long messages, dead letters and ended subscriptions are kept",
    value: duration("1s", "3650d"),
  }),
  laneMemoryBytes: row({
    name: "LANE_MEMORY_BYTES",
    default: "268435456",
    what: "Memory for messages waiting in lanes; what does not fit is read again from the log",
    value: integer(65_536, 1024 ** 4, "bytes"),
  }),
  signature: row({
    name: "SIGNATURE",
    default: "sha256",
    what: "Method of `X-Hub-Signature`",
    value: oneOf(["sha1", "sha256", "sha384", "sha512"]),
  }),
  compactJson: row<readonly string[]>({
    name: "COMPACT_JSON",
    default: null,
    unset: [],
    what: "Topics whose JSON loses the whitespace outside strings, a list",
    value: topics,
  }),
  verification: row({
    name: "VERIFICATION",
    default: "challenge",
    what: "How a subscribe is verified: `challenge` (§5.3), or `ping`, a signed POST that any 2xx confirms",
    value: oneOf(["challenge", "ping"]),
  }),
  autoVerify: row({
    name: "AUTO_VERIFY",
    default: "off",
    what: "`on`: a request that the policy marks is taken as verified without asking its callback",
    value: oneOf(["off", "on"]),
  }),
  autoVerifyOrigins: row<readonly ClientOrigin[]>({
    name: "AUTO_VERIFY_ORIGINS",
    default: null,
    unset: [],
    what:
      "Callback origins registered to a client, a list of `user=origin`, or `issuer user=origin`; the policy marks its requests for them",
    value: clientOrigins,
  }),
  outboundAllow: row({
    name: "OUTBOUND_ALLOW",
    default: {
      from: "ACCESS",
      make: (access) => access === "open" ? "127.0.0.0/8,::1/128" : "",
      shown: "`127.0.0.0/8,::1/128` with `ACCESS=open`, else none",
    },
    what: "Private networks that callbacks and topics may be in, a list of CIDRs; empty: none",
    value: cidrs,
  }),
  trustedProxies: row<readonly string[]>({
    name: "TRUSTED_PROXIES",
    default: null,
    unset: [],
    what: "Our own proxies, a list of CIDRs: a client's address is the last hop of `X-Forwarded-For` that is not one",
    value: cidrs,
  }),
  requestsPerAddress: row({
    name: "REQUESTS_PER_ADDRESS",
    default: {
      from: "ACCESS",
      make: (access) => access === "open" ? "0" : access === "public" ? "1000" : "5000",
      shown: "`1000` with `ACCESS=public`, `5000` with `token`, else `0`",
    },
    what: "Requests a second of one address (an IPv6 /64), ten times that at once; 0: any number",
    value: integer(0, 1_000_000),
  }),
  requestsPerClient: row({
    name: "REQUESTS_PER_CLIENT",
    default: "5000",
    what: "Requests a second to the hub endpoint by one token's client, ten times that at once; 0: any number",
    value: integer(0, 1_000_000),
  }),
  verificationsPerHost: row({
    name: "VERIFICATIONS_PER_HOST",
    default: "1000",
    what: "Requests a minute whose verification a callback host has not confirmed, at each edge; 0: any number",
    value: integer(0, 1_000_000),
  }),
  overloadAfterMs: row({
    name: "OVERLOAD_AFTER",
    default: "1s",
    what: "When the core takes longer to answer, the edge takes less at once, and answers the rest 503",
    value: duration("50ms", "10s"),
  }),
  connections: row({
    name: "CONNECTIONS",
    default: "10000",
    what: "Connections that the edge holds at once; more are closed",
    value: integer(1, 1_000_000),
  }),
  headersMaxBytes: row({
    name: "HEADERS_MAX_BYTES",
    // 16 KiB of headers travel with a message (WIRE §3), and as much again is for the rest.
    default: "32768",
    what: "Largest URL and headers of a request together; more is 431",
    value: integer(32_768, 1_048_576, "bytes"),
  }),
  headersTimeoutMs: row({
    name: "HEADERS_TIMEOUT",
    default: "10s",
    what: "How long a client may take to send a request's headers; longer is 408",
    value: duration("100ms", "5m"),
  }),
  requestTimeoutMs: row({
    name: "REQUEST_TIMEOUT",
    default: "60s",
    what: "How long a client may take to send a whole request; longer is 408",
    value: duration("100ms", "1h"),
  }),
  logLevel: row({
    name: "LOG_LEVEL",
    default: "info",
    what: "Least level that is logged, to stderr",
    value: oneOf(["trace", "debug", "info", "warning", "error"]),
  }),
} as const;

type ValueOf<R> = R extends Row<infer T> ? T : never;

/** What is in force, typed and frozen; the names are WIRE §8's in camelCase, `…Ms` are milliseconds. */
export type Settings = { readonly [Key in keyof typeof ROWS]: ValueOf<(typeof ROWS)[Key]> };

/** The start stops: `message` is one line that names the setting, what is allowed and what was found. */
export class SettingsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SettingsError";
  }
}

/**
 * Parses the environment into settings.
 * @throws {SettingsError} on an unknown name, a wrong value or a bad combination
 */
export function parseSettings(environment: Environment): Settings {
  refuseUnknownNames(environment);
  const parsed: Record<string, unknown> = {};
  for (const [key, row] of Object.entries<Row<unknown>>(ROWS)) {
    const written = writtenValue(row, environment);
    if (written === null) {
      parsed[key] = row.unset;
      continue;
    }
    const result = v.safeParse(row.value.schema, written);
    if (!result.success) {
      const found = row.secret ? "what it is" : JSON.stringify(written);
      throw new SettingsError(`${PREFIX}${row.name} must be ${row.value.allowed}, not ${found}`);
    }
    parsed[key] = result.output;
  }
  for (const value of Object.values(parsed)) Object.freeze(value);
  // Each key was parsed by the schema that its type is made of.
  const settings = Object.freeze(parsed) as Settings;
  refuseBadCombinations(settings, environment);
  return settings;
}

/** What is in force as `NAME=value` lines, in the table's order, secrets masked (`--print-config`). */
export function printSettings(environment: Environment): string[] {
  parseSettings(environment);
  return Object.values<Row<unknown>>(ROWS).map((row) => {
    const written = writtenValue(row, environment);
    if (written === null) return `# ${PREFIX}${row.name} is not set`;
    return `${PREFIX}${row.name}=${row.secret ? "********" : written}`;
  });
}

/** The README's table, GitHub Markdown. */
export function settingsTable(): string {
  const rows = Object.values<Row<unknown>>(ROWS).map((row) => {
    const byDefault = row.default === null
      ? "unset"
      : typeof row.default === "string"
      ? `\`${row.default}\``
      : row.default.shown ?? `\`${row.default.make(`<${row.default.from}>`, () => false)}\``;
    return `| \`${PREFIX}${row.name}\` | ${byDefault} | ${row.what} |`;
  });
  return ["| setting | default | what |", "| --- | --- | --- |", ...rows].join("\n");
}

function writtenValue(row: Row<unknown>, environment: Environment): string | null {
  const written = environment[PREFIX + row.name];
  if (written !== undefined) return written;
  if (row.default === null || typeof row.default === "string") return row.default;
  const { from, make } = row.default;
  const other = Object.values<Row<unknown>>(ROWS).find(({ name }) => name === from);
  const isSet = (other: string) => environment[PREFIX + other] !== undefined;
  return other === undefined ? null : make(writtenValue(other, environment) ?? "", isSet);
}

// What Kubernetes injects for services whose names begin with ours (WIRE §8); no setting of ours ends like these.
const KUBERNETES = /_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT|PORT_[0-9]+_(?:TCP|UDP)(?:_.*)?)$/;

function refuseUnknownNames(environment: Environment): void {
  const known = new Set(Object.values<Row<unknown>>(ROWS).map((row) => PREFIX + row.name));
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PREFIX) || known.has(name)) continue;
    if (name.startsWith(`${PREFIX}TEST_`) || KUBERNETES.test(name)) continue;
    throw new SettingsError(`${name} is not a setting; the nearest one is ${closest(name, [...known])}`);
  }
}

function refuseBadCombinations(settings: Settings, environment: Environment): void {
  const refuse = (message: string): never => {
    throw new SettingsError(message);
  };
  const { leaseMinMs, leaseDefaultMs, leaseMaxMs, retryMinMs, retryMaxMs } = settings;
  if (leaseMinMs > leaseMaxMs) refuse("TIDINGS_LEASE_MIN must not be more than TIDINGS_LEASE_MAX");
  if (leaseDefaultMs < leaseMinMs || leaseDefaultMs > leaseMaxMs) {
    refuse("TIDINGS_LEASE_DEFAULT must lie between TIDINGS_LEASE_MIN and TIDINGS_LEASE_MAX");
  }
  if (retryMinMs > retryMaxMs) refuse("TIDINGS_RETRY_MIN must not be more than TIDINGS_RETRY_MAX");
  for (const name of Object.values<Row<unknown>>(ROWS).map((row) => row.name)) {
    if (!/^KAFKA_(?!BROKERS)/.test(name) || environment[PREFIX + name] === undefined) continue;
    if (settings.kafkaBrokers.length === 0) {
      refuse(`${PREFIX}${name} is set but TIDINGS_KAFKA_BROKERS is not: set both, or neither for the embedded log`);
    }
  }
  const wrong = wrongAccess(settings, (name) => {
    const written = environment[PREFIX + name];
    // A default that is written out says nothing new.
    return written !== undefined &&
      written !== Object.values<Row<unknown>>(ROWS).find((row) => row.name === name)?.default;
  });
  if (wrong !== null) refuse(wrong);
  const problem = kafkaProblem(settings) ??
    transportProblem(settings, (name) => environment[PREFIX + name] !== undefined);
  if (problem !== undefined) refuse(problem);
}
