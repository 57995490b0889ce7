// SASL on a connection (Kafka's SaslHandshake and SaslAuthenticate, KIP-152, KIP-368). The mechanisms are kafkajs's own.
import oauthBearer from "kafkajs/src/broker/saslAuthenticator/oauthBearer.js";
import plain from "kafkajs/src/broker/saslAuthenticator/plain.js";
import scram256 from "kafkajs/src/broker/saslAuthenticator/scram256.js";
import scram512 from "kafkajs/src/broker/saslAuthenticator/scram512.js";
import { CODE, nameOf, NoAnswer, NotAdmitted } from "../protocol/kafka-error.ts";
import { type KafkaRequest, saslAuthenticate, saslHandshake } from "../protocol/requests.ts";
import type { KafkaSasl } from "./security.ts";

type Send = <Answer>(request: KafkaRequest<Answer>) => Promise<Answer>;

// What kafkajs would log as errors is thrown as well, and said where it is caught.
const QUIET = { debug: () => {}, error: () => {} };

/**
 * Says who we are. Returns for how long that counts, ms; 0: as long as the connection.
 * @throws {NotAdmitted} if the broker does not take it @throws {NoAnswer}
 */
export async function authenticate(
  sasl: KafkaSasl,
  send: Send,
  where: { host: string; port: number },
): Promise<number> {
  const mechanism = sasl.mechanism.toUpperCase();
  const handshake = await send(saslHandshake(mechanism));
  if (handshake.errorCode !== CODE.NONE) {
    const enabled = handshake.enabledMechanisms.join(", ") || "no SASL at all";
    throw new NotAdmitted(`the broker does not take SASL ${mechanism}, it takes ${enabled}`);
  }
  let lifetimeMs = 0;
  let silent: NoAnswer | undefined;
  try {
    await providerOf(sasl)({
      ...where,
      logger: QUIET,
      async saslAuthenticate({ request, response }) {
        const authBytes = await request.encode();
        const answer = await send(saslAuthenticate(authBytes)).catch((error: unknown) => {
          if (error instanceof NoAnswer) silent = error;
          throw error;
        });
        if (answer.errorCode !== CODE.NONE) throw new Error(answer.errorMessage || nameOf(answer.errorCode));
        lifetimeMs = Number(answer.sessionLifetimeMs);
        return response === undefined ? undefined : response.parse(await response.decode(answer.authBytes));
      },
    }).authenticate();
  } catch (error) {
    // The connection ended under it, or the issuer of tokens is away: that says nothing of the password.
    if (silent !== undefined) throw silent;
    if (error instanceof NoAnswer) throw error;
    throw new NotAdmitted((error as Error).message, { cause: error });
  }
  return lifetimeMs;
}

function providerOf(sasl: KafkaSasl) {
  switch (sasl.mechanism) {
    case "plain":
      return plain(sasl);
    case "scram-sha-256":
      return scram256(sasl);
    case "scram-sha-512":
      return scram512(sasl);
    case "oauthbearer":
      return oauthBearer({ oauthBearerProvider: async () => ({ value: await sasl.token() }) });
  }
}
