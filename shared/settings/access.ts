// Settings of who may do what, and which of them go together (WIRE §6): off loopback access has no default, and a setting of
// tokens that would have no effect is refused.
import type { DELIVERY_ROWS } from "./delivery.ts";
import type { PLACE_ROWS } from "./places.ts";
import { row, type ValuesOf } from "./row.ts";
import { file, httpUrl, httpUrls, isLoopback, issuers, oneOf, text, words } from "./values.ts";

export const ACCESS_ROWS = {
  access: row({
    name: "ACCESS",
    default: "open",
    what: "Who may do what.",
    meanings: {
      "open": "Anyone may do everything. Only while the edge listens on loopback.",
      "public": "Anyone may ping and subscribe. Nobody may register topics or publish content.",
      "token": "Publishers and subscribers show access tokens.",
    },
    change:
      "Before you let others than this machine reach the hub. The start refuses `open` off loopback. Cores need the same value as their edges.",
    value: oneOf(["open", "public", "token"]),
  }),
  policy: row({
    name: "POLICY",
    default: "scopes",
    what: "What the scopes and roles of a token allow, with `TIDINGS_ACCESS=token`.",
    meanings: {
      "scopes": "`websub:publish`, `websub:publish:<topic or prefix*>`, `websub:subscribe` likewise, as scope or role.",
      "wso2":
        "The scopes of WSO2's hub: `register_topic`, `deregister_topic`, `update_content` or `content_update`, `subscribe`, `unsubscribe`.",
      "mosip":
        "The roles of MOSIP's hub: `PUBLISH_<event>_GENERAL`, `SUBSCRIBE_<event>_INDIVIDUAL` and so on; `azp` counts as audience, too.",
    },
    change: "If your clients have tokens of WSO2 or MOSIP already.",
    value: oneOf(["scopes", "wso2", "mosip"]),
  }),
  issuer: row<readonly string[]>({
    name: "ISSUER",
    default: null,
    unset: [],
    what: "Issuers of access tokens, a list, each exactly as in `iss`. Where their keys are is discovered.",
    change: "With `TIDINGS_ACCESS=token`, for tokens that are JWTs.",
    value: issuers,
  }),
  audience: row<readonly string[]>({
    name: "AUDIENCE",
    default: null,
    unset: [],
    what:
      "What `aud` of a token must name, a list of which one is enough. `*` takes every audience, and the start says so.",
    change: "With `TIDINGS_ACCESS=token`, always.",
    value: words,
  }),
  jwksUrl: row<readonly string[]>({
    name: "JWKS_URL",
    default: null,
    unset: [],
    what: "Where the issuers' keys are, a list in the order of `TIDINGS_ISSUER`, instead of discovery.",
    change: "If an issuer has no discovery document, or the hub reaches it by another address.",
    value: httpUrls,
  }),
  issuerCa: row<string | undefined>({
    name: "ISSUER_CA",
    default: null,
    what:
      "PEM file of the authorities that the hub trusts to certify identity providers, at all of their addresses. Unset: the system's.",
    change:
      "If your provider's certificate is from an authority of your own. If another provider's is from a public one, that authority must stand in the file, too.",
    value: file,
  }),
  rolesClaim: row({
    name: "ROLES_CLAIM",
    default: "realm_access.roles",
    what:
      "The claim that lists a token's roles: a name, or a path of names with dots between them. A name may itself have dots, as in `resource_access.my.client.roles` or `https://example.org/roles`: the longest name that is there counts.",
    change: "If your provider puts roles elsewhere: `roles`, `scope`, `resource_access.hub.roles`.",
    value: text("a claim's name, or a path with dots", /^[^\s\0]{1,256}$/),
  }),
  introspectionUrl: row<string | undefined>({
    name: "INTROSPECTION_URL",
    default: null,
    what: "The endpoint that says whether an opaque token is valid (RFC 7662).",
    change: "If your provider issues tokens that are not JWTs.",
    value: httpUrl,
  }),
  introspectionClientId: row<string | undefined>({
    name: "INTROSPECTION_CLIENT_ID",
    default: null,
    what: "The hub's own client id at the introspection endpoint.",
    change: "With `TIDINGS_INTROSPECTION_URL`.",
    value: text("a client id", /^[\x20-\x7e]{1,1024}$/),
  }),
  introspectionClientSecret: row<string | undefined>({
    name: "INTROSPECTION_CLIENT_SECRET",
    default: null,
    what: "The hub's own client secret at the introspection endpoint. Never printed.",
    change: "With `TIDINGS_INTROSPECTION_URL`.",
    value: text("a client secret", /^[\x20-\x7e]{1,1024}$/),
    secret: true,
  }),
} as const;

type AccessSettings = ValuesOf<typeof ACCESS_ROWS & typeof PLACE_ROWS & typeof DELIVERY_ROWS>;

/** Whether a setting, named without its prefix, is set to something else than its default. */
type IsSet = (name: string) => boolean;

/** What is wrong, as one line that says what to set; undefined if nothing is. */
export function accessProblem(settings: AccessSettings, isSet: IsSet): string | undefined {
  return wrongOffLoopback(settings, isSet) ?? wrongTokens(settings, isSet) ?? wrongIntrospection(isSet) ??
    wrongOrigins(settings);
}

function wrongOffLoopback({ edgeListen, access }: AccessSettings, isSet: IsSet): string | undefined {
  if (isLoopback(edgeListen.host)) return undefined;
  if (access === "open") {
    return "TIDINGS_EDGE_LISTEN is not a loopback address, and TIDINGS_ACCESS=open lets anyone do anything, so TIDINGS_ACCESS " +
      "must be set: to token, or to public for a hub that anyone may subscribe at";
  }
  if (!isSet("HUB_URL")) {
    return "TIDINGS_EDGE_LISTEN is not a loopback address, so TIDINGS_HUB_URL must be set: to the hub's public URL";
  }
  return undefined;
}

const TOKEN_SETTINGS = [
  "POLICY",
  "ISSUER",
  "AUDIENCE",
  "JWKS_URL",
  "ISSUER_CA",
  "ROLES_CLAIM",
  "INTROSPECTION_URL",
  "INTROSPECTION_CLIENT_ID",
  "INTROSPECTION_CLIENT_SECRET",
  "AUTO_VERIFY_ORIGINS",
];

function wrongTokens(settings: AccessSettings, isSet: IsSet): string | undefined {
  const { access, issuer, audience, jwksUrl, introspectionUrl } = settings;
  if (access !== "token") {
    const idle = TOKEN_SETTINGS.find(isSet);
    return idle === undefined
      ? undefined
      : `TIDINGS_${idle} is set but TIDINGS_ACCESS is ${access}: tokens count with TIDINGS_ACCESS=token only`;
  }
  if (issuer.length === 0 && introspectionUrl === undefined) {
    return "TIDINGS_ACCESS=token needs an identity provider: set TIDINGS_ISSUER, or TIDINGS_INTROSPECTION_URL for opaque tokens";
  }
  if (audience.length === 0) {
    return "TIDINGS_ACCESS=token needs TIDINGS_AUDIENCE: what the aud of this hub's tokens names, or * for any";
  }
  if (jwksUrl.length > 0 && jwksUrl.length !== issuer.length) {
    return "TIDINGS_JWKS_URL must name as many URLs as TIDINGS_ISSUER names issuers, in the same order";
  }
  return undefined;
}

const INTROSPECTION = ["INTROSPECTION_URL", "INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"];

function wrongIntrospection(isSet: IsSet): string | undefined {
  const missing = INTROSPECTION.find((name) => !isSet(name));
  if (missing === undefined || !INTROSPECTION.some(isSet)) return undefined;
  const all = INTROSPECTION.map((name) => `TIDINGS_${name}`).join(", ");
  return `TIDINGS_${missing} is not set: introspection takes all of ${all}`;
}

function wrongOrigins({ issuer, autoVerify, autoVerifyOrigins }: AccessSettings): string | undefined {
  if (autoVerifyOrigins.length > 0 && autoVerify === "off") {
    return "TIDINGS_AUTO_VERIFY_ORIGINS is set but TIDINGS_AUTO_VERIFY is off: set it to on";
  }
  for (const { issuer: named, userId } of autoVerifyOrigins) {
    if (named === undefined ? issuer.length === 1 : issuer.includes(named)) continue;
    const whose = JSON.stringify(userId);
    return `TIDINGS_AUTO_VERIFY_ORIGINS must name one of TIDINGS_ISSUER before ${whose}, written issuer user=origin`;
  }
  return undefined;
}
