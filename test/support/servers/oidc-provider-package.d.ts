// What the tests use of the package, which has no types of its own.
declare module "oidc-provider" {
  import type { RequestListener } from "node:http";

  interface ResourceServer {
    readonly scope: string;
    readonly audience?: string;
    readonly accessTokenTTL?: number;
    readonly accessTokenFormat?: "jwt" | "opaque";
    readonly jwt?: { readonly sign: { readonly alg: string } };
  }
  interface Configuration {
    readonly clients: readonly Readonly<Record<string, unknown>>[];
    readonly jwks: { readonly keys: readonly object[] };
    readonly scopes?: readonly string[];
    readonly features: {
      readonly clientCredentials: { readonly enabled: true };
      readonly devInteractions: { readonly enabled: false };
      readonly introspection: {
        readonly enabled: true;
        readonly allowedPolicy: (context: unknown, client: { readonly clientId: string }) => boolean;
      };
      readonly resourceIndicators: {
        readonly enabled: true;
        readonly defaultResource: () => string;
        readonly getResourceServerInfo: (context: unknown, resource: string) => ResourceServer;
      };
    };
    readonly extraTokenClaims?: (context: unknown, token: { readonly clientId: string }) => object | undefined;
  }
  export default class Provider {
    constructor(issuer: string, configuration: Configuration);
    callback(): RequestListener;
  }
}
