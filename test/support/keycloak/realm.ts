// A realm of a real Keycloak, made and changed by its admin API.
import assert from "node:assert/strict";
import { encodeForm } from "../form.ts";
import { call, type Reply } from "../servers/http.ts";
import { ADMINISTRATOR } from "./keycloak.ts";

/** A client with a service account. Its secret is `<id>-secret`. */
export interface ClientOptions {
  /** Realm roles of its service account. */
  readonly roles?: readonly string[];
  /** Values that an audience mapper adds to `aud`. */
  readonly audiences?: readonly string[];
  /** Scopes that each of its tokens has; made if the realm lacks them. */
  readonly scopes?: readonly string[];
  /** Whether its access tokens are lightweight: only introspection tells the rest. */
  readonly lightweight?: boolean;
}

export interface Realm {
  readonly issuer: string;
  readonly tokenUrl: string;
  readonly introspectionUrl: string;
  createClient(id: string, options?: ClientOptions): Promise<void>;
  /** A new access token by client_credentials. */
  token(id: string): Promise<string>;
  /** Ends a token by RFC 7009. */
  revoke(id: string, token: string): Promise<void>;
  /** Signs with a new key from now on; the old ones no longer count. */
  rotateKeys(): Promise<void>;
}

interface Representation {
  readonly id: string;
  readonly name?: string;
  readonly [field: string]: unknown;
}

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const KEY_PROVIDERS = "org.keycloak.keys.KeyProvider";
const DEADLINE_MS = 60_000;

/** Makes a realm of this name. */
export async function createRealm(origin: string, name: string): Promise<Realm> {
  const issuer = `${origin}/realms/${name}`;
  const path = `${origin}/admin/realms/${name}`;
  const admin = (method: string, url: string, body?: unknown) => adminCall(origin, method, url, body);
  const read = async (url: string) => JSON.parse((await admin("GET", url)).text) as unknown;
  const create = async (url: string, body: unknown) => {
    const { headers } = await admin("POST", url, body);
    return String(headers["location"]).split("/").at(-1)!;
  };
  await create(`${origin}/admin/realms`, { realm: name, enabled: true, accessTokenLifespan: 900 });

  const grantRole = async (user: string, role: string) => {
    const roles = await read(`${path}/roles`) as Representation[];
    if (!roles.some((one) => one.name === role)) await create(`${path}/roles`, { name: role });
    await admin("POST", `${path}/users/${user}/role-mappings/realm`, [await read(`${path}/roles/${role}`)]);
  };
  const grantScope = async (client: string, scope: string) => {
    const scopes = await read(`${path}/client-scopes`) as Representation[];
    const id = scopes.find((one) => one.name === scope)?.id ?? await create(`${path}/client-scopes`, {
      name: scope,
      protocol: "openid-connect",
      attributes: { "include.in.token.scope": "true" },
    });
    await admin("PUT", `${path}/clients/${client}/default-client-scopes/${id}`);
  };
  const credentials = (id: string) => ({ client_id: id, client_secret: `${id}-secret` });
  const tokenUrl = `${issuer}/protocol/openid-connect/token`;
  return {
    issuer,
    tokenUrl,
    introspectionUrl: `${tokenUrl}/introspect`,
    async createClient(id, { roles = [], audiences = [], scopes = [], lightweight = false } = {}) {
      const client = await create(`${path}/clients`, {
        clientId: id,
        secret: `${id}-secret`,
        publicClient: false,
        serviceAccountsEnabled: true,
        standardFlowEnabled: false,
        attributes: { "client.use.lightweight.access.token.enabled": String(lightweight) },
        protocolMappers: audiences.map(audienceMapper),
      });
      const { id: user } = await read(`${path}/clients/${client}/service-account-user`) as Representation;
      for (const role of roles) await grantRole(user, role);
      for (const scope of scopes) await grantScope(client, scope);
    },
    async token(id) {
      const form = { grant_type: "client_credentials", ...credentials(id) };
      return await accessToken(tokenUrl, form);
    },
    async revoke(id, token) {
      const body = encodeForm({ token, ...credentials(id) });
      const reply = await call(`${issuer}/protocol/openid-connect/revoke`, { method: "POST", body, headers: FORM });
      assert.equal(reply.status, 200, reply.text);
    },
    async rotateKeys() {
      const query = encodeForm({ type: KEY_PROVIDERS });
      const before = await read(`${path}/components?${query}`) as Representation[];
      const { id: parentId } = await read(path) as Representation;
      await create(`${path}/components`, {
        name: `key-${Date.now()}`,
        providerId: "rsa-generated",
        providerType: KEY_PROVIDERS,
        parentId,
        config: { priority: ["1000"], enabled: ["true"], active: ["true"], algorithm: ["RS256"], keySize: ["2048"] },
      });
      for (const { id, providerId } of before) {
        if (providerId === "rsa-generated") await admin("DELETE", `${path}/components/${id}`);
      }
    },
  };
}

function audienceMapper(audience: string): Readonly<Record<string, unknown>> {
  return {
    name: `audience ${audience}`,
    protocol: "openid-connect",
    protocolMapper: "oidc-audience-mapper",
    config: {
      "included.custom.audience": audience,
      "access.token.claim": "true",
      "introspection.token.claim": "true",
      "lightweight.claim": "true",
    },
  };
}

async function adminCall(origin: string, method: string, url: string, body: unknown): Promise<Reply> {
  // An administrator's token lives for a minute only.
  const token = await accessToken(`${origin}/realms/master/protocol/openid-connect/token`, {
    grant_type: "password",
    client_id: "admin-cli",
    ...ADMINISTRATOR,
  });
  const reply = await call(url, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    deadlineMs: DEADLINE_MS,
  });
  if (reply.status >= 300) throw new Error(`${method} ${url} was answered ${reply.status}: ${reply.text}`);
  return reply;
}

async function accessToken(url: string, form: Readonly<Record<string, string>>): Promise<string> {
  const reply = await call(url, { method: "POST", body: encodeForm(form), headers: FORM, deadlineMs: DEADLINE_MS });
  if (reply.status !== 200) throw new Error(`POST ${url} was answered ${reply.status}: ${reply.text}`);
  return (JSON.parse(reply.text) as { readonly access_token: string }).access_token;
}
