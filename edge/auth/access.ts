// Who may do what (ACCESS, WIRE §6): asked after a request was parsed and before it goes to the core, so that 401 and 403
// stand between 400 and 404.

import { clientKeyOf } from "../../shared/client-key.ts";
import type { Caller, ClientIdentity } from "../../shared/core-api.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import type { VerifyAccessToken } from "./access-token.ts";
import { TokenRefusal } from "./token-refusal.ts";
import type { TokenBook } from "./token-book.ts";
import type { Client } from "./client.ts";
import { type Action, OPERATE, type Policy } from "./policies.ts";
import { accessTokenOf } from "./bearer-token.ts";
import { HubError, quoted } from "../answers/hub-error.ts";
import type { ContentHead, HubRequest } from "../syntax/hub-request.ts";
import { endOfSignature, signatureOf } from "./subscriber-signature.ts";
import type { SentRequest } from "./subscriber-signature.ts";

export type AccessName = "open" | "public" | "token";

/** What a route needs: the columns of the access table. */
export type Need = "content" | "ping" | "intent" | "subscription" | "secret" | "nothing";

/**
 * The access table of WIRE §6. `signed`: MOSIP's signature, which the core checks, and nothing else; `right`: a token with the right that
 * the policy asks for; `own`: the subscription's signature, or a token of its client or of an operator.
 */
export const ACCESS_TABLE = {
  open: { content: "all", ping: "all", intent: "all", subscription: "all", secret: "signed", nothing: "all" },
  public: {
    content: "nobody",
    ping: "all",
    intent: "all",
    subscription: "signature",
    secret: "signed",
    nothing: "all",
  },
  token: { content: "right", ping: "right", intent: "right", subscription: "own", secret: "signed", nothing: "all" },
} as const satisfies Record<AccessName, Record<Need, "all" | "nobody" | "right" | "signature" | "own" | "signed">>;

/** The column of each kind of request to the hub endpoint. */
export const NEED_OF = {
  register: "content",
  deregister: "content",
  content: "content",
  ping: "ping",
  subscribe: "intent",
  unsubscribe: "intent",
} as const satisfies Record<HubRequest["kind"], Need>;

/** A token whose issuer was asked about it. */
export interface Introspected {
  /** When it was asked, ms since 1970. */
  readonly askedAt: number;
  /**
   * Asks again, unless the issuer was asked since then, ms since 1970.
   * @throws {HubError} "unavailable" if that is not known; any other if the token, its client or its right is no longer the same
   */
  again(askedSince: number): Promise<Asker>;
}

export interface Asker {
  readonly caller: Caller;
  /** When the caller's token, or a signature that covers no headers, ends, ms since 1970; else Infinity. No answer goes on beyond it. */
  readonly expiresAt: number;
  readonly introspected?: Introspected;
}

export interface Access {
  /**
   * Lets a request to the hub endpoint pass; `claim` says who asks, where its token does not say it yet. Yields its client, undefined where nobody has to show who it is.
   * @throws {HubError} "unauthorized", "invalid_token", "forbidden", "insufficient_scope", "unavailable"; "invalid_request":
   * different tokens
   */
  admit(request: Request, wanted: HubRequest, claim?: () => Claim): Promise<Client | undefined>;
  /**
   * As `admit`, for what its query says is content, before its body is read. Undefined: what may still turn out to be a ping is to be
   * admitted once that is known.
   * @throws {HubError} as `admit`
   */
  admitContent(request: Request, head: ContentHead, claim?: () => Claim): Promise<Client | undefined>;
  /**
   * Who asks about, or moves, a subscription to this topic; the core decides whether that is enough
   * (core/requests/admission.ts).
   * @throws {HubError} as `admit`
   */
  callerOf(request: SentRequest, topic: string, claim?: () => Claim): Promise<Asker>;
}

export interface TokenAccess {
  readonly verify: VerifyAccessToken;
  readonly policy: Policy;
  /** Notes every refusal. */
  readonly book: Pick<TokenBook, "refused">;
  /** Fetches the keys of all issuers, so that what is wrong shows before the first token comes. Never rejects. */
  fetchKeys(): Promise<void>;
}

/** ACCESS=open: anyone may do anything. Tokens are not looked at; a signature that is present must be right. */
export const openAccess: Access = accessBy("open");
/** ACCESS=public: anyone may subscribe and ping, nobody may publish content; a subscription is read with its signature. */
export const publicAccess: Access = accessBy("public");
/** ACCESS=token: every request needs a token that the policy accepts, or a subscription's signature. */
export function tokenAccess(tokens: TokenAccess): Access {
  return accessBy("token", tokens);
}

function accessBy(name: "open" | "public"): Access;
function accessBy(name: "token", tokens: TokenAccess): Access;
function accessBy(name: AccessName, tokens?: TokenAccess): Access {
  const table = ACCESS_TABLE[name];

  /** The client of a request's token, once `check` has let it pass, and the token. Each refusal is noted. */
  async function clientOf(
    headers: Headers,
    claim: (() => Claim) | undefined,
    check: (client: Client) => void,
  ): Promise<{ readonly client: Client; readonly token: string }> {
    let inCookie = false;
    try {
      const sent = accessTokenOf(headers);
      if (sent === undefined || tokens === undefined) {
        throw new TokenRefusal("missing", "An access token is missing; send it as Authorization: Bearer.");
      }
      inCookie = sent.inCookie;
      const client = await tokens.verify(sent.token, { claim });
      check(client);
      return { client, token: sent.token };
    } catch (error) {
      const told = inCookie && error instanceof TokenRefusal ? error.inCookie() : error;
      tokens?.book.refused(told);
      throw told;
    }
  }

  function refuseWithoutRight(client: Client, action: Action, topic: string): void {
    const lack = tokens?.policy(client, action, topic) ?? null;
    if (lack === null) return;
    const sentence = `The access token may not ${VERBS[action]} ${quoted(topic)}; it needs ${lack.text}.`;
    throw new TokenRefusal(lack.reason, sentence, { seen: client.seen, expected: lack.text });
  }

  return {
    async admitContent(request, { topic, isCertain }, claim) {
      const rule = table.content;
      switch (rule) {
        case "all":
          return undefined;
        case "nobody":
          if (isCertain) throw noContent();
          return undefined;
        case "right":
          return (await clientOf(request.headers, claim, (client) => refuseWithoutRight(client, "publish", topic)))
            .client;
      }
    },

    async admit(request, wanted, claim) {
      const rule = table[NEED_OF[wanted.kind]];
      switch (rule) {
        case "all":
          return undefined;
        case "nobody":
          throw noContent();
        case "right": {
          const topics = wanted.kind === "ping" ? wanted.topics : [wanted.topic];
          const action = wanted.kind === "ping" || wanted.kind === "content" ? "publish" : wanted.kind;
          const { client } = await clientOf(request.headers, claim, (client) => {
            for (const topic of topics) refuseWithoutRight(client, action, topic);
          });
          return client;
        }
      }
    },

    async callerOf(request, topic, claim) {
      const signature = await signatureOf(request);
      if (signature !== undefined) return { caller: signature, expiresAt: endOfSignature(signature) };
      switch (table.subscription) {
        case "all":
          return { caller: { kind: "anyone" }, expiresAt: Infinity };
        case "signature":
          throw new HubError("unauthorized", "X-Subscriber-Signature is missing; sign the request with the secret.");
        case "own": {
          const check = (client: Client) => {
            if (kindOf(client) === "client") refuseWithoutRight(client, "subscribe", topic);
          };
          const { client, token } = await clientOf(request.headers, claim, check);
          return askerOf(client, async (askedSince) => {
            try {
              const now = await tokens!.verify(token, { claim, askedSince });
              check(now);
              return now;
            } catch (error) {
              tokens!.book.refused(error);
              throw error;
            }
          });
        }
      }
    },
  };
}

/** The part of a client by which the core recognises it. */
export function identityOfClient({ issuer, claim, userId, name = userId }: Client): ClientIdentity {
  return { issuer, userId, claim, ...(name === userId ? {} : { name }) };
}

/** Who asks by a token. `verify` verifies it again, by an answer of its issuer from since then. */
function askerOf(client: Client, verify: (askedSince: number) => Promise<Client>): Asker {
  const { askedAt, expiresAt } = client;
  const caller = { kind: kindOf(client), ...identityOfClient(client) };
  if (askedAt === undefined) return { caller, expiresAt };
  const again = async (askedSince: number) => {
    const now = await verify(askedSince);
    const isSame = kindOf(now) === kindOf(client) &&
      clientKeyOf(identityOfClient(now)) === clientKeyOf(identityOfClient(client));
    if (isSame) return askerOf(now, verify);
    throw new TokenRefusal("claims", "The access token speaks for another client now; open the stream again.");
  };
  return { caller, expiresAt, introspected: { askedAt, again } };
}

function noContent(): HubError {
  return new HubError("forbidden", "This hub takes no content and no registrations; send a ping, it fetches.");
}

function kindOf({ roles }: Client): "operator" | "client" {
  return roles.has(OPERATE) ? "operator" : "client";
}

const VERBS: Readonly<Record<Action, string>> = {
  register: "register",
  deregister: "deregister",
  publish: "publish to",
  subscribe: "subscribe to",
  unsubscribe: "unsubscribe from",
};
