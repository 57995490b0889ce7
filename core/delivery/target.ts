// Where a lane's requests go and what of them never changes: made once per subscription, not per attempt.
import { createHmac } from "node:crypto";
import { type HttpUrl, parseHttpUrl } from "../../shared/http-url.ts";
import type { Signer, Signing } from "../keys/signers.ts";
import type { Message } from "./message.ts";

export type SignatureAlgorithm = "sha1" | "sha256" | "sha384" | "sha512";

export interface Target {
  readonly url: HttpUrl;
  /** The `Link` header, one line: hub and canonical topic (§7). */
  readonly link: string;
  /** undefined: the subscription has no secret, and nothing is signed (H66). */
  readonly signer: Signer | undefined;
}

export interface TargetOptions {
  readonly hubUrl: string;
  readonly subscriptionId: string;
  readonly topic: string;
  readonly callback: string;
  /** Sealed (ARCHITECTURE §5). */
  readonly secret: string | undefined;
}

/** @throws {UrlError} if the callback is no http(s) URL */
export function createTarget({ hubUrl, subscriptionId, topic, callback, secret }: TargetOptions): Target {
  return {
    url: parseHttpUrl(callback),
    link: `<${linkTarget(hubUrl)}>; rel="hub", <${linkTarget(topic)}>; rel="self"`,
    signer: secret === undefined ? undefined : { sealed: secret, subscriptionId, signing: undefined },
  };
}

/** A URI reference as it may stand between angle brackets: what RFC 3986 does not allow is percent-encoded. */
export function linkTarget(uri: string): string {
  return uri.replace(/[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})/gu, (character) => encode(character));
}

function encode(character: string): string {
  return Array.from(Buffer.from(character, "utf8"), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}

export interface AttemptOptions {
  readonly userAgent: string;
  readonly algorithm: SignatureAlgorithm;
  /** The target's signer, opened; undefined if it has none. */
  readonly signing: Signing | undefined;
  /** The attempt's time, ms. */
  readonly now: number;
}

/** The headers of one attempt, name and value in turn (WIRE §3). */
export function attemptHeaders(
  target: Target,
  message: Message,
  { userAgent, algorithm, signing, now }: AttemptOptions,
): string[] {
  const timestamp = String(Math.floor(now / 1_000));
  const headers = [
    "content-type",
    message.contentType,
    "link",
    message.link ?? target.link,
    "webhook-id",
    message.id,
    "webhook-timestamp",
    timestamp,
    "x-hub-cursor",
    message.cursor,
    "user-agent",
    userAgent,
  ];
  if (message.traceparent !== undefined) headers.push("traceparent", message.traceparent);
  for (const text of message.extra) headers.push(text);
  if (signing !== undefined) {
    // §7.1: over the exact bytes of the body; lower-case hex, as clients compare it as text.
    const signature = createHmac(algorithm, signing.hub).update(message.body).digest("hex");
    headers.push("x-hub-signature", `${algorithm}=${signature}`);
    const standard = createHmac("sha256", signing.standard, { encoding: signing.encoding })
      .update(`${message.id}.${timestamp}.`).update(message.body).digest("base64");
    headers.push("webhook-signature", `v1,${standard}`);
  }
  return headers;
}
