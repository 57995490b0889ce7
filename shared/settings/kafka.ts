// Settings of Kafka as the log, and which of its TLS and SASL go together.
import { row, type ValuesOf } from "./row.ts";
import { brokers, file, fileOr, httpUrl, integer, isLoopback, oneOf, text } from "./values.ts";

export type SaslMechanism = "plain" | "scram-sha-256" | "scram-sha-512" | "oauthbearer";

export const KAFKA_ROWS = {
  kafkaBrokers: row<readonly string[]>({
    name: "KAFKA_BROKERS",
    default: null,
    unset: [],
    what:
      "Kafka's bootstrap brokers, a list of host:port. If it is set, the log is on Kafka, else in the embedded file.",
    change: "For more than one core, or to keep messages where the rest of your events are.",
    value: brokers,
  }),
  kafkaPrefix: row({
    name: "KAFKA_PREFIX",
    default: "tidings",
    what: "First part of the names of Kafka topics, transactional ids and the consumer group.",
    change: "If two hubs share a cluster, or the cluster has rules for names.",
    value: text("1 to 100 of A–Z a–z 0–9 . _ -", /^[A-Za-z0-9._-]{1,100}$/),
  }),
  kafkaReplication: row<number | undefined>({
    name: "KAFKA_REPLICATION",
    default: null,
    what:
      "How many replicas each Kafka topic has when the hub makes it, and at least must have when it is there. Unset: 3, or 1 on fewer than three brokers. With 3 or more, `min.insync.replicas` is 2, else 1.",
    change: "If a cluster of three or more brokers is to keep fewer or more copies.",
    value: integer(1, 99),
  }),
  kafkaTlsCa: row<string | undefined>({
    name: "KAFKA_TLS_CA",
    default: null,
    what:
      "If it is set, the core speaks TLS with Kafka. PEM file of the authorities that certify its brokers, or `system` for the system's.",
    change: "If your brokers listen with TLS.",
    value: fileOr("system"),
  }),
  kafkaTlsCert: row<string | undefined>({
    name: "KAFKA_TLS_CERT",
    default: null,
    what: "PEM file of the certificate that the core shows to brokers which ask for one.",
    change: "If your brokers want client certificates (mTLS).",
    value: file,
  }),
  kafkaTlsKey: row<string | undefined>({
    name: "KAFKA_TLS_KEY",
    default: null,
    what: "PEM file of the private key of `TIDINGS_KAFKA_TLS_CERT`.",
    change: "Together with it.",
    value: file,
  }),
  kafkaSaslMechanism: row<SaslMechanism | undefined>({
    name: "KAFKA_SASL_MECHANISM",
    default: null,
    what: "How the core says to Kafka who it is. Unset: it does not.",
    meanings: {
      "plain": "User name and password as they are. Use it with TLS only.",
      "scram-sha-256": "User name and password; the password does not travel.",
      "scram-sha-512": "The same with SHA-512.",
      "oauthbearer": "An access token that the core gets from `TIDINGS_KAFKA_SASL_TOKEN_URL` by client credentials.",
    },
    change: "If your brokers want SASL.",
    value: oneOf(["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]),
  }),
  kafkaSaslUsername: row<string | undefined>({
    name: "KAFKA_SASL_USERNAME",
    default: null,
    what: "User name, or the client id of `oauthbearer`.",
    change: "With `TIDINGS_KAFKA_SASL_MECHANISM`.",
    value: text("a name", /^[^\0]+$/),
  }),
  kafkaSaslPassword: row<string | undefined>({
    name: "KAFKA_SASL_PASSWORD",
    default: null,
    what: "Password, or the client secret of `oauthbearer`. Never printed.",
    change: "With `TIDINGS_KAFKA_SASL_MECHANISM`.",
    value: text("a password", /^[^\0]+$/),
    secret: true,
  }),
  kafkaSaslTokenUrl: row<string | undefined>({
    name: "KAFKA_SASL_TOKEN_URL",
    default: null,
    what: "Where `oauthbearer` gets its tokens, by client credentials (RFC 6749).",
    change: "With `oauthbearer`.",
    value: httpUrl,
  }),
  kafkaSaslScope: row<string | undefined>({
    name: "KAFKA_SASL_SCOPE",
    default: null,
    what: "The scope that such a token is asked for.",
    change: "If your identity provider wants one.",
    value: text("a scope", /^[\x20-\x7e]+$/),
  }),
} as const;

/** What is wrong, as a sentence that says what to set; undefined if nothing is. `isWritten` tells what the environment has. */
export function kafkaProblem(
  settings: ValuesOf<typeof KAFKA_ROWS>,
  isWritten: (name: string) => boolean,
): string | undefined {
  const idle = Object.values<{ readonly name: string }>(KAFKA_ROWS).find(({ name }) => isWritten(name));
  if (settings.kafkaBrokers.length === 0 && idle !== undefined) {
    return `TIDINGS_${idle.name} is set but TIDINGS_KAFKA_BROKERS is not: set both, or neither for the embedded log`;
  }
  const { kafkaTlsCa, kafkaTlsCert, kafkaTlsKey, kafkaSaslMechanism: mechanism } = settings;
  if ((kafkaTlsCert === undefined) !== (kafkaTlsKey === undefined)) {
    return "TIDINGS_KAFKA_TLS_CERT and TIDINGS_KAFKA_TLS_KEY go together: set both, or neither";
  }
  if (kafkaTlsCert !== undefined && kafkaTlsCa === undefined) {
    return "TIDINGS_KAFKA_TLS_CERT is set, so TIDINGS_KAFKA_TLS_CA must be: a PEM file, or system";
  }
  const given = {
    USERNAME: settings.kafkaSaslUsername,
    PASSWORD: settings.kafkaSaslPassword,
    TOKEN_URL: settings.kafkaSaslTokenUrl,
    SCOPE: settings.kafkaSaslScope,
  };
  for (const [name, value] of Object.entries(given)) {
    const setting = `TIDINGS_KAFKA_SASL_${name}`;
    const needed = mechanism !== undefined && (name === "USERNAME" || name === "PASSWORD" ||
      (name === "TOKEN_URL" && mechanism === "oauthbearer"));
    if (needed && value === undefined) {
      return `TIDINGS_KAFKA_SASL_MECHANISM is ${mechanism}, so ${setting} must be set`;
    }
    const taken = needed || (name === "SCOPE" && mechanism === "oauthbearer");
    if (!taken && value !== undefined) {
      return mechanism === undefined
        ? `${setting} is set, so TIDINGS_KAFKA_SASL_MECHANISM must be`
        : `${setting} is for the mechanism oauthbearer only`;
    }
  }
  if ((mechanism === "plain" || mechanism === "oauthbearer") && kafkaTlsCa === undefined) {
    const away = settings.kafkaBrokers.find((at) =>
      !isLoopback(at.slice(0, at.lastIndexOf(":")).replace(/^\[|\]$/g, ""))
    );
    if (away !== undefined) {
      return `SASL ${mechanism} would send its secret unencrypted to "${away}": set TIDINGS_KAFKA_TLS_CA`;
    }
  }
  return undefined;
}
