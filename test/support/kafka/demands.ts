// A broker that demands TLS and authentication of its clients.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import type { KafkaPorts } from "./properties.ts";

/** What a broker demands of clients: TLS, and SASL with any of its mechanisms. */
export interface KafkaDemands {
  /** PEM: key, certificate and authorities, as Kafka's PEM stores want them. */
  readonly keystore: string;
  /** PEM: if given, clients must have a certificate of these. */
  readonly clientCa?: string;
  readonly username: string;
  readonly password: string;
  /** How long an authentication is valid, ms. */
  readonly reauthenticateMs: number;
}

/** The arguments of `StorageTool format` for its users. */
export function scramUsers({ username, password }: KafkaDemands): string[] {
  return ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
    "--add-scram",
    `${mechanism}=[name=${username},password=${password}]`,
  ]);
}

/** The lines of `server.properties` for these demands; writes the files that they name into the node's directory. */
export async function demandingListener(
  directory: string,
  { port, controllerPort }: KafkaPorts,
  { keystore, clientCa, username, password, reauthenticateMs }: KafkaDemands,
): Promise<string[]> {
  const [store, trust] = [join(directory, "keystore.pem"), join(directory, "truststore.pem")];
  await writeFile(store, keystore);
  if (clientCa !== undefined) await writeFile(trust, clientCa);
  const security = "org.apache.kafka.common.security";
  const jaas = (mechanism: string, module: string) =>
    `listener.name.clients.${mechanism}.sasl.jaas.config=${security}.${module};`;
  return [
    `listeners=CLIENTS://127.0.0.1:${port},PLAINTEXT://127.0.0.1:${await freePort()},CONTROLLER://127.0.0.1:${controllerPort}`,
    "listener.security.protocol.map=CLIENTS:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name=PLAINTEXT",
    "ssl.keystore.type=PEM",
    `ssl.keystore.location=${store}`,
    ...(clientCa === undefined ? [] : [
      "ssl.truststore.type=PEM",
      `ssl.truststore.location=${trust}`,
      "listener.name.clients.ssl.client.auth=required",
    ]),
    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    // An authenticated client may do everything that is not denied.
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
    "super.users=User:ANONYMOUS",
    `connections.max.reauth.ms=${reauthenticateMs}`,
    jaas("plain", `plain.PlainLoginModule required user_${username}="${password}"`),
    jaas("scram-sha-256", "scram.ScramLoginModule required"),
    jaas("scram-sha-512", "scram.ScramLoginModule required"),
    // Accepts unsigned tokens that have not expired, because only the sending of them is tested.
    jaas("oauthbearer", 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"'),
  ];
}
