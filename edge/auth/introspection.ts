// Opaque tokens: their issuer is asked what they are (RFC 7662). An endpoint that hangs is asked one question at a time until it
// answers again, and no request waits for that.

import type { FlightsOptions } from "../../shared/flights.ts";
import { waitAtMost } from "../../shared/pause.ts";
import { FairPool, NoPlaceError } from "../../shared/shares/fair-pool.ts";
import { FairShares, type LostAfter } from "../../shared/shares/fair-shares.ts";
import { NOBODYS } from "../../shared/shares/requester.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { HubError } from "../answers/hub-error.ts";
import type { Claims } from "./client.ts";
import { type AskIssuer, IssuerError } from "./issuer-client.ts";
import type { LineLog } from "./log-text.ts";
import { createOutage } from "./outage.ts";
import { seenIn, shown, TokenRefusal } from "./token-refusal.ts";

export interface IntrospectionOptions {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** ISSUER: an answer that names another is refused. Empty: any. */
  readonly issuers: readonly string[];
  readonly ask: AskIssuer;
  readonly logger: LineLog;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Where the runtime may drop a question in flight. */
  readonly lost?: LostAfter | undefined;
  /** What one question may take, ms. Default 5 s. */
  readonly deadlineMs?: number | undefined;
  /** Lets a question go on when the request that asked is over. */
  readonly keep?: FlightsOptions["keep"];
}

/**
 * What an active token says. `claim`: who sent it, and `proven` if it was active before.
 * @throws {TokenRefusal} "not_active", "issuer"; {HubError} "unavailable"
 */
export type Introspect = (token: string, claim: Claim) => Promise<{ readonly issuer: string; readonly claims: Claims }>;

const MOST_ISSUER_CHARACTERS = 1_024;
/** Questions in flight at once: anyone can make up tokens, and the hub must not bring its identity provider down with them. */
const AT_ONCE = 64;
/** Half of them are for tokens that were active before. */
const OF = { proven: AT_ONCE / 2, slow: 0, new: AT_ONCE / 2, failing: 0 };
/** Requests that wait until their question may be asked, and how long, ms; others are "unavailable" at once. */
const MOST_WAITING = 512;
const WAIT_MS = 2_000;
const DEADLINE_MS = 5_000;
/** A question that took so long and brought nothing: the endpoint hangs. */
const SLOW_MS = 1_000;
/** How long a request waits for its question to an endpoint that hung, ms. */
const DOUBT_MS = 250;

export function createIntrospect(options: IntrospectionOptions): Introspect {
  const { url, issuers } = options;
  const ask = createAsk(options);

  return async (token, claim) => {
    const answer = await ask(token, claim);
    const { active, iss } = answer;
    if (active !== true) {
      throw new TokenRefusal("not_active", "The access token is not active; get a new one.", {
        expected: `active by the answer of ${url}; some providers say so only to a client that the token's aud names`,
      });
    }
    if (iss !== undefined && !(typeof iss === "string" && isTrusted(iss, issuers))) {
      throw new TokenRefusal(
        "issuer",
        `The access token is not from an issuer that this hub trusts: its iss is ${shown(iss)}.`,
        { seen: seenIn(answer), expected: `TIDINGS_ISSUER (${issuers.join(", ")}) in iss` },
      );
    }
    // RFC 7662 §2.2: iss is optional. Without it the only issuer is meant, or the endpoint itself if there are several.
    const issuer = typeof iss === "string" ? iss : issuers.length === 1 ? issuers[0]! : url;
    return { issuer, claims: answer };
  };
}

/** Where ISSUER is not set, the endpoint may name any issuer. It becomes part of identities, so it is text of bounded length. */
function isTrusted(iss: string, issuers: readonly string[]): boolean {
  if (issuers.length > 0) return issuers.includes(iss);
  return iss !== "" && iss.length <= MOST_ISSUER_CHARACTERS && iss.isWellFormed();
}

/** Asks the endpoint about a token. @throws {HubError} "unavailable" */
function createAsk(options: IntrospectionOptions): (token: string, claim: Claim) => Promise<Claims> {
  const { url, now, lost, deadlineMs = DEADLINE_MS, keep = () => {} } = options;
  const question = createQuestion(options, deadlineMs);
  const questions = new FairPool({ most: AT_ONCE, of: OF, mostWaiting: MOST_WAITING, lost });
  const probes = new FairShares<never>({
    most: 1,
    of: { proven: 0, slow: 0, new: 1, failing: 0 },
    // A probe that has had more time than there is was dropped with its request.
    lost: { now, afterMs: deadlineMs + SLOW_MS },
  });
  const log = { logger: options.logger, now };
  const away = createOutage({ what: "Tokens cannot be introspected", end: "Tokens can be introspected", ...log });
  const refused = createOutage({
    what: `The introspection endpoint ${url} refuses the hub's own credentials, TIDINGS_INTROSPECTION_CLIENT_ID and ` +
      "TIDINGS_INTROSPECTION_CLIENT_SECRET",
    end: `The introspection endpoint ${url} takes the hub's credentials`,
    ...log,
  });
  let hangs = false;
  let answeredAt = -Infinity;
  /** Ends the waiting of each request in flight, once one of them has found that the endpoint hangs. */
  const waiting = new Set<() => void>();

  async function answerTo(token: string): Promise<Claims> {
    const begunAt = now();
    try {
      const answer = await question(token);
      away.over();
      refused.over();
      hangs = false;
      answeredAt = now();
      return answer;
    } catch (error) {
      if (isRefusalOfHub(error)) refused.failed(error);
      else away.failed(error);
      // A question may hang where others are answered.
      hangs = answeredAt < begunAt && now() - begunAt >= Math.min(SLOW_MS, deadlineMs);
      if (hangs) { for (const end of waiting) end(); }
      throw unavailable(1, error);
    }
  }

  function probe(): () => void {
    const place = probes.tryEnter(NOBODYS);
    if (place === undefined) throw unavailable(Math.ceil(deadlineMs / 1_000));
    return () => probes.leave(place);
  }

  async function turn(claim: Claim): Promise<() => void> {
    try {
      const place = await questions.take(claim, { waitMs: WAIT_MS });
      return () => questions.leave(place);
    } catch (error) {
      if (!(error instanceof NoPlaceError)) throw error;
      throw unavailable(1, error);
    }
  }

  return async (token, claim) => {
    const isProbe = hangs;
    const giveBack = isProbe ? probe() : await turn(claim);
    if (!isProbe && hangs) {
      giveBack();
      throw unavailable(1);
    }
    let answer: Claims | undefined;
    let failure: unknown;
    const ended = answerTo(token).then((claims) => void (answer = claims), (error: unknown) => void (failure = error))
      .finally(giveBack);
    keep(ended);
    if (isProbe) await waitAtMost(DOUBT_MS, ended);
    else {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      void ended.then(resolve);
      await promise;
      waiting.delete(resolve);
    }
    if (answer !== undefined) return answer;
    throw failure ?? unavailable(1);
  };
}

/** One question, and an answer that is one. @throws {IssuerError} */
function createQuestion(
  { url, clientId, clientSecret, ask }: IntrospectionOptions,
  withinMs: number,
): (token: string) => Promise<Claims> {
  const authorization = basic(clientId, clientSecret);
  return async (token) => {
    const form = new URLSearchParams({ token, token_type_hint: "access_token" }).toString();
    const answer = await ask({ url, headers: { authorization }, form, withinMs });
    if (typeof answer["active"] === "boolean") return answer;
    throw new IssuerError(`${url} gave no answer of introspection: "active" is neither true nor false (RFC 7662)`);
  };
}

/** Whether the endpoint refused the hub, and not the token: a token that is wrong is "not active", with 200 (RFC 7662 §2.2). */
function isRefusalOfHub(error: unknown): boolean {
  if (!(error instanceof IssuerError)) return false;
  const { status, code } = error;
  return status === 401 || status === 403 ||
    (status === 400 && (code === "invalid_client" || code === "unauthorized_client"));
}

function unavailable(retryAfterS: number, cause?: unknown): HubError {
  return new HubError("unavailable", "The token cannot be checked with its issuer now; try again a little later.", {
    cause,
    retryAfterS,
  });
}

/** RFC 6749 §2.3.1: both are form-encoded before they are joined. */
function basic(id: string, secret: string): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}`;
}
