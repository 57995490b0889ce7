// Access tokens for SASL OAUTHBEARER by client credentials (RFC 6749 §4.4). The operator sets the token's URL, so no guard checks it.
import type { HttpClient, HttpReply } from "../../../../shared/http-client.ts";
import { NoAnswer } from "../protocol/kafka-error.ts";

export interface OAuthClient {
  readonly http: Pick<HttpClient, "send">;
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | undefined;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

const WITHIN_MS = 10_000;
/** A token is used for this share of its lifetime. */
const USED_FOR = 0.8;

/**
 * Returns the current token, and requests a new one when it grows old; calls at the same time share one request.
 * @throws {NoAnswer} if the issuer does not answer now @throws {Error} if it refuses
 */
export function createOAuthTokens(client: OAuthClient): () => Promise<string> {
  let current: { token: string; until: number } | undefined;
  let asking: Promise<string> | undefined;
  async function ask(): Promise<string> {
    const { token, expiresInMs } = await requestToken(client);
    current = { token, until: client.clock() + expiresInMs * USED_FOR };
    return token;
  }
  return () => {
    if (current !== undefined && client.clock() < current.until) return Promise.resolve(current.token);
    return asking ??= ask().finally(() => asking = undefined);
  };
}

async function requestToken({ http, tokenUrl, clientId, clientSecret, scope }: OAuthClient) {
  const form = new URLSearchParams({ grant_type: "client_credentials", ...(scope === undefined ? {} : { scope }) });
  // RFC 6749 §2.3.1: both encoded as in a form.
  const encoded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);
  const credentials = Buffer.from(`${encoded(clientId)}:${encoded(clientSecret)}`).toString("base64");
  const { origin, pathname, search } = new URL(tokenUrl);
  let reply: HttpReply;
  try {
    reply = await http.send({
      method: "POST",
      origin,
      path: pathname + search,
      body: form.toString(),
      headers: {
        authorization: `Basic ${credentials}`,
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
      },
      timeoutMs: WITHIN_MS,
    });
  } catch (error) {
    throw new NoAnswer(`no token from ${tokenUrl}: ${(error as Error).message}`, { cause: error });
  }
  const { status, body } = reply;
  if (status >= 500) throw new NoAnswer(`no token from ${tokenUrl}: it answered ${status}`);
  const { access_token: token, expires_in: seconds = 300 } = Object(parsed(body)) as Record<string, unknown>;
  // A redirect is not followed: it would carry the secret to another place.
  if (status < 200 || status > 299 || typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(`no token from ${tokenUrl}: it answered ${status}`);
  }
  return { token, expiresInMs: Math.max(0, Number(seconds) || 0) * 1_000 };
}

/** undefined if it is not JSON. */
function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
