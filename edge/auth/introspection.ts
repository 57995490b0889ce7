// Opaque tokens: their issuer is asked what they are (RFC 7662).

import { getLogger } from "@logtape/logtape";
import { Places, type PlacesOptions } from "../../shared/places.ts";
import { HubError } from "../answers/hub-error.ts";
import type { Claims } from "./client.ts";
import type { AskIssuer } from "./issuer-client.ts";

export interface IntrospectionOptions {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** ISSUER: an answer that names another is refused. Empty: any. */
  readonly issuers: readonly string[];
  readonly ask: AskIssuer;
  /** Of the questions in flight. */
  readonly places: Pick<PlacesOptions, "now" | "lostAfterMs">;
}

/** What an active token says. @throws {HubError} "invalid_token", "unavailable" */
export type Introspect = (token: string) => Promise<{ readonly issuer: string; readonly claims: Claims }>;

/** Questions in flight at once; more are answered "unavailable". */
const AT_ONCE = 64;
const WARN_EVERY_MS = 10_000;

export function createIntrospect(options: IntrospectionOptions): Introspect {
  const { url, clientId, clientSecret, issuers, ask, places } = options;
  const logger = getLogger(["tidings", "edge", "auth"]);
  const authorization = basic(clientId, clientSecret);
  const questions = new Places({ most: AT_ONCE, ...places });
  let warnedAt = -Infinity;

  /** At most one warning in 10 s, since anyone can send any number of tokens. */
  function warn(error: unknown): void {
    if (performance.now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = performance.now();
    logger.warn("Tokens cannot be introspected: {error}", { error });
  }

  async function answerTo(token: string): Promise<Claims> {
    // Anyone can make up tokens: the hub must not bring its identity provider down with them.
    const giveBack = questions.take();
    if (giveBack === undefined) throw unavailable();
    try {
      const form = new URLSearchParams({ token, token_type_hint: "access_token" }).toString();
      return await ask({ url, headers: { authorization }, form });
    } catch (cause) {
      warn(cause);
      throw unavailable(cause);
    } finally {
      giveBack();
    }
  }

  return async (token) => {
    const answer = await answerTo(token);
    if (answer["active"] !== true) {
      throw new HubError("invalid_token", "The access token is not active; get a new one.");
    }
    const { iss, sub, client_id } = answer;
    if (iss !== undefined && !(typeof iss === "string" && (issuers.length === 0 || issuers.includes(iss)))) {
      throw new HubError("invalid_token", "The access token is not from an issuer that this hub trusts.");
    }
    // RFC 7662 §2.2: iss is optional. Without it the only issuer is meant, or the endpoint itself if there are several.
    const issuer = typeof iss === "string" ? iss : issuers.length === 1 ? issuers[0]! : url;
    // A token that a client got for itself may have no sub; RFC 9068 §2.2 would have put the client's id there.
    const claims = sub === undefined && client_id !== undefined ? { ...answer, sub: client_id } : answer;
    return { issuer, claims };
  };
}

function unavailable(cause?: unknown): HubError {
  return new HubError("unavailable", "The token cannot be checked with its issuer now; try again a little later.", {
    cause,
  });
}

/** RFC 6749 §2.3.1: both are form-encoded before they are joined. */
function basic(id: string, secret: string): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}`;
}
