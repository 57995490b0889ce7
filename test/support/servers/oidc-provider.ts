// A real identity provider (oidc-provider, an OpenID-certified server) on 127.0.0.1: clients get tokens for themselves, as
// JWTs or opaque; its keys can be rotated, and it can go away and come back.

import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";
import { call } from "./http.ts";

export interface OwnProvider {
  readonly issuer: string;
  /** Id and secret of the client that introspects. */
  readonly hub: { readonly id: string; readonly secret: string };
  /** A token that a client got for itself by the client credentials grant (RFC 6749 §4.4). */
  token(client: string, scope: string, format?: "jwt" | "opaque"): Promise<string>;
  /** Signs with a new key, and drops the old ones. */
  rotate(): Promise<void>;
  /** Answers only 503, or works again. */
  away: boolean;
  close(): Promise<void>;
}

const HUB = { id: "the hub", secret: "hub-secret-hub-secret-hub-secret-hub" };
const SECRET = "client-secret-client-secret-client-secret";
const SCOPES = "websub:publish websub:subscribe websub:auto-verify";

/** Opens a provider that knows these clients; `roles` are what `realm_access.roles` of their tokens lists. */
export async function openOidcProvider(
  clients: readonly string[],
  roles: Readonly<Record<string, readonly string[]>> = {},
): Promise<OwnProvider> {
  let listener: RequestListener = (_, response) => void response.writeHead(503).end();
  let gone = false;
  const server = createServer((request, response) => {
    if (gone) response.writeHead(503).end();
    else listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const grant = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };

  async function rotate(): Promise<void> {
    const keys = await Promise.all(["RS256", "ES256"].map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true });
      return { ...await exportJWK(privateKey), alg, use: "sig" };
    }));
    listener = new Provider(issuer, {
      clients: [
        { client_id: HUB.id, client_secret: HUB.secret, ...grant },
        ...clients.map((client_id) => ({ client_id, client_secret: SECRET, scope: SCOPES, ...grant })),
      ],
      jwks: { keys },
      scopes: SCOPES.split(" "),
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === HUB.id },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => "urn:hub:jwt",
          getResourceServerInfo: (_, resource) => ({
            scope: SCOPES,
            audience: "hub",
            accessTokenTTL: 3_600,
            accessTokenFormat: resource === "urn:hub:opaque" ? "opaque" : "jwt",
            jwt: { sign: { alg: "ES256" } },
          }),
        },
      },
      extraTokenClaims: (_, { clientId }) => ({ realm_access: { roles: roles[clientId] ?? [] } }),
    }).callback();
  }

  await rotate();
  return {
    issuer,
    hub: HUB,
    rotate,
    get away() {
      return gone;
    },
    set away(value) {
      gone = value;
    },
    token: async (client, scope, format = "jwt") => {
      const { status, text } = await call(`${issuer}/token`, {
        body: new URLSearchParams({ grant_type: "client_credentials", scope, resource: `urn:hub:${format}` })
          .toString(),
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          authorization: `Basic ${Buffer.from(`${client}:${SECRET}`).toString("base64")}`,
        },
      });
      if (status !== 200) throw new Error(`The provider answered ${status}: ${text}`);
      return (JSON.parse(text) as { access_token: string }).access_token;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
