// A broker that wants TLS of its clients, and to know who they are.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../hub/hub.ts";
import type { KafkaPorts } from "./properties.ts";

/** What a broker demands of clients: TLS, and SASL by any of its mechanisms. */
export interface KafkaDemands {
  /** PEM: key, certificate and authorities, as Kafka's PEM stores want them. */
  readonly keystore: string;
  /** PEM: if given, clients must have a certificate of these. */
  readonly clientCa?: string;
  readonly username: string;
  readonly password: string;
  /** How long a client counts as known before it must say again who it is, ms. */
  readonly reauthenticateMs: number;
}

/** What `StorageTool format` is told of its users. */
export function scramUsers({ username, password }: KafkaDemands): string[] {
  return ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
    "--add-scram",
    `${mechanism}=[name=${username},password=${password}]`,
  ]);
}

/** The lines of `server.properties` that say so; writes what they name into the node's directory. */
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
    // Who is known may do all that is not denied.
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
    "super.users=User:ANONYMOUS",
    `connections.max.reauth.ms=${reauthenticateMs}`,
    jaas("plain", `plain.PlainLoginModule required user_${username}="${password}"`),
    jaas("scram-sha-256", "scram.ScramLoginModule required"),
    jaas("scram-sha-512", "scram.ScramLoginModule required"),
    // Takes unsigned tokens that are not over: it is the sending of them that is tested.
    jaas("oauthbearer", 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"'),
  ];
}
