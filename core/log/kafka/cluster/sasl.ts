// SASL on a connection (Kafka's SaslHandshake and SaslAuthenticate, KIP-152, KIP-368). The mechanisms (SCRAM, PLAIN, OAUTHBEARER)
// are kafkajs's. This is the only file that imports from inside kafkajs, and it checks what it gets from there.
import oauthBearer from "kafkajs/src/broker/saslAuthenticator/oauthBearer.js";
import plain from "kafkajs/src/broker/saslAuthenticator/plain.js";
import scram256 from "kafkajs/src/broker/saslAuthenticator/scram256.js";
import scram512 from "kafkajs/src/broker/saslAuthenticator/scram512.js";
import * as v from "valibot";
import { saslAuthenticate, saslHandshake } from "../protocol/cluster-requests.ts";
import { CODE, nameOf, NoAnswer, NotAdmitted } from "../protocol/kafka-error.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import { Writer } from "../protocol/wire.ts";
import type { KafkaSasl } from "./security.ts";

type Send = <Answer>(request: KafkaRequest<Answer>) => Promise<Answer>;

const MECHANISMS: Readonly<Record<KafkaSasl["mechanism"], unknown>> = {
  plain,
  "scram-sha-256": scram256,
  "scram-sha-512": scram512,
  oauthbearer: oauthBearer,
};

// A mechanism is called with the credentials, then with the connection, and returns an authenticator. The authenticator gives us its
// messages to send, each with the codec of its answer if it reads one.
const Callable = v.function();
const Authenticator = v.object({ authenticate: Callable });
const Message = v.object({
  request: v.object({ encode: Callable }),
  response: v.optional(v.object({ decode: Callable, parse: Callable })),
});
const Bytes = v.instance(Uint8Array);
/** kafkajs puts a message's length before its bytes, as Kafka 0.10 wanted it. */
const LENGTH_BYTES = 4;

// kafkajs also throws what it would log as an error; the caller logs that.
const QUIET = { debug: () => {}, error: () => {} };

/**
 * Tells the broker who we are. Returns for how long that is valid, ms; 0: as long as the connection.
 * @throws {NotAdmitted} if the broker refuses the mechanism or the credentials @throws {NoAnswer}
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
  async function exchange(message: unknown): Promise<unknown> {
    const { request, response } = v.parse(Message, message);
    const framed = v.parse(Bytes, await request.encode());
    const answer = await send(saslAuthenticate(framed.subarray(LENGTH_BYTES))).catch((error: unknown) => {
      if (error instanceof NoAnswer) silent = error;
      throw error;
    });
    if (answer.errorCode !== CODE.NONE) throw new Error(answer.errorMessage || nameOf(answer.errorCode));
    lifetimeMs = answer.sessionLifetimeMs;
    if (response === undefined) return undefined;
    return await response.parse(await response.decode(new Writer(256).bytes(answer.authBytes).take()));
  }
  try {
    await authenticatorOf(sasl, { ...where, logger: QUIET, saslAuthenticate: exchange }).authenticate();
  } catch (error) {
    // The connection ended, or the issuer of tokens is away: that does not mean that the credentials are wrong.
    if (silent !== undefined) throw silent;
    if (error instanceof NoAnswer) throw error;
    throw new NotAdmitted((error as Error).message, { cause: error });
  }
  return lifetimeMs;
}

function authenticatorOf(sasl: KafkaSasl, connection: object): v.InferOutput<typeof Authenticator> {
  const credentials = sasl.mechanism === "oauthbearer"
    ? { oauthBearerProvider: async () => ({ value: await sasl.token() }) }
    : sasl;
  const connect = v.parse(Callable, v.parse(Callable, MECHANISMS[sasl.mechanism])(credentials));
  return v.parse(Authenticator, connect(connection));
}
