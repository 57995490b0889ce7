// Which settings of Kafka's TLS and SASL go together.
import { isLoopback } from "./settings-values.ts";

export type SaslMechanism = "plain" | "scram-sha-256" | "scram-sha-512" | "oauthbearer";

export interface KafkaSettings {
  readonly kafkaBrokers: readonly string[];
  readonly kafkaTlsCa: string | undefined;
  readonly kafkaTlsCert: string | undefined;
  readonly kafkaTlsKey: string | undefined;
  readonly kafkaSaslMechanism: SaslMechanism | undefined;
  readonly kafkaSaslUsername: string | undefined;
  readonly kafkaSaslPassword: string | undefined;
  readonly kafkaSaslTokenUrl: string | undefined;
  readonly kafkaSaslScope: string | undefined;
}

/** What is wrong, as a sentence that says what to set; undefined if nothing is. */
export function kafkaProblem(settings: KafkaSettings): string | undefined {
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
