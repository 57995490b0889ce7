// Settings of Kafka as the log, and which of its TLS and SASL go together.
import { row, type ValuesOf } from "./row.ts";
import { brokers, httpUrl, integer, isLoopback, oneOf, path, text } from "./values.ts";

export type SaslMechanism = "plain" | "scram-sha-256" | "scram-sha-512" | "oauthbearer";

export const KAFKA_ROWS = {
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
      return `SASL ${mechanism} shows what is secret to whoever is between here and "${away}": set TIDINGS_KAFKA_TLS_CA`;
    }
  }
  return undefined;
}
