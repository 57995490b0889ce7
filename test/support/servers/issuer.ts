// An identity provider for a test: real HTTP, real keys, and answers as the test wants them.

import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { CryptoKey, JWK, JWTHeaderParameters, JWTPayload } from "jose";
import { openRecordingServer } from "./recording-server.ts";
import type { Recorded, RecordingServer, Responder } from "./recording-server.ts";

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export interface Issuer {
  /** Its name, as in `iss`. */
  readonly url: string;
  readonly server: RecordingServer;
  /** The keys of its key set. */
  keys: SigningKey[];
  /** How it answers at each of its addresses; a test replaces an answer to let it misbehave. */
  onMetadata: Responder;
  onKeys: Responder;
  onIntrospect: Responder;
  /** Requests to each address, in order. */
  readonly asked: { readonly metadata: Recorded[]; readonly keys: Recorded[]; readonly introspect: Recorded[] };
  /** What introspection answers for a token; other tokens are not active. */
  readonly opaque: Map<string, Readonly<Record<string, unknown>>>;
  addKey(alg?: string): Promise<SigningKey>;
  /** A token signed by the newest key: for an hour, with audience `hub` and user `publisher`, unless the claims say otherwise. */
  token(claims?: JWTPayload, options?: { key?: SigningKey; header?: Partial<JWTHeaderParameters> }): Promise<string>;
  close(): Promise<void>;
}

let kids = 0;

/** A key pair with an id of its own. */
export async function createSigningKey(alg = "RS256"): Promise<SigningKey> {
  const kid = `key-${++kids}`;
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicKey, jwk: { ...await exportJWK(publicKey), kid, alg, use: "sig" } };
}

/** Opens an issuer on 127.0.0.1 with one RS256 key. */
export async function openIssuer(path = "/realms/hub"): Promise<Issuer> {
  const server = await openRecordingServer();
  const url = `${server.origin}${path}`;
  const asked: { metadata: Recorded[]; keys: Recorded[]; introspect: Recorded[] } = {
    metadata: [],
    keys: [],
    introspect: [],
  };
  const json = (value: () => unknown): Responder => (_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value()));
  };
  const issuer: Issuer = {
    url,
    server,
    keys: [await createSigningKey()],
    asked,
    opaque: new Map(),
    onMetadata: json(() => ({ issuer: url, jwks_uri: `${url}/keys`, introspection_endpoint: `${url}/introspect` })),
    onKeys: json(() => ({ keys: issuer.keys.map(({ jwk }) => jwk) })),
    onIntrospect: (request, response) => {
      const token = new URLSearchParams(request.body.toString()).get("token") ?? "";
      const claims = issuer.opaque.get(token);
      response.writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify(claims === undefined ? { active: false } : { active: true, ...claims }));
    },
    addKey: async (alg) => {
      const key = await createSigningKey(alg);
      issuer.keys.push(key);
      return key;
    },
    token: async (claims = {}, { key = issuer.keys.at(-1)!, header = {} } = {}) => {
      const now = Math.floor(Date.now() / 1_000);
      return await new SignJWT({ iss: url, aud: "hub", sub: "publisher", iat: now, exp: now + 3_600, ...claims })
        .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    close: () => server.close(),
  };
  const noted = (list: Recorded[], handle: () => Responder): Responder => (request, response) => {
    list.push(request);
    return handle()(request, response);
  };
  server.route(`${path}/.well-known/openid-configuration`, noted(asked.metadata, () => issuer.onMetadata));
  server.route(`${path}/keys`, noted(asked.keys, () => issuer.onKeys));
  server.route(`${path}/introspect`, noted(asked.introspect, () => issuer.onIntrospect));
  return issuer;
}
