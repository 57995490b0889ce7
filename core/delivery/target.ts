// Where a lane's requests go and what of them never changes: made once per subscription, not per attempt.
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { type HttpUrl, parseHttpUrl } from "../../shared/http-url.ts";
import type { Message } from "./message.ts";

export type SignatureAlgorithm = "sha1" | "sha256" | "sha384" | "sha512";

export interface Target {
  readonly url: HttpUrl;
  /** The `Link` header, one line: hub and canonical topic (§7). */
  readonly link: string;
  readonly signing: Signing | undefined;
}

export interface Signing {
  /** X-Hub-Signature's key: the secret's bytes. */
  readonly hub: KeyObject;
  /** Standard Webhooks' key: the secret's bytes, or the base64 rest after `whsec_`. */
  readonly standard: KeyObject;
}

/** @throws {UrlError} if the callback is no http(s) URL */
export function createTarget(
  { hubUrl, topic, callback, secret }: { hubUrl: string; topic: string; callback: string; secret: string | undefined },
): Target {
  return {
    url: parseHttpUrl(callback),
    link: `<${linkTarget(hubUrl)}>; rel="hub", <${linkTarget(topic)}>; rel="self"`,
    signing: secret === undefined ? undefined : createSigning(secret),
  };
}

function createSigning(secret: string): Signing {
  const bytes = Buffer.from(secret, "utf8");
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  const decoded = Buffer.from(encoded ?? "", "base64");
  // One that decodes to nothing would be a key that everyone has.
  return { hub: createSecretKey(bytes), standard: createSecretKey(decoded.length === 0 ? bytes : decoded) };
}

/** A URI reference as it may stand between angle brackets: what RFC 3986 does not allow is percent-encoded. */
export function linkTarget(uri: string): string {
  return uri.replace(/[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})/gu, (character) => encode(character));
}

function encode(character: string): string {
  return Array.from(Buffer.from(character, "utf8"), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}

/** The headers of one attempt, name and value in turn (WIRE §3). `now` is the attempt's time, ms. */
export function attemptHeaders(
  target: Target,
  message: Message,
  { userAgent, algorithm, now }: { userAgent: string; algorithm: SignatureAlgorithm; now: number },
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
  const { signing } = target;
  if (signing !== undefined) {
    // §7.1: over the exact bytes of the body; lower-case hex, as clients compare it as text.
    const signature = createHmac(algorithm, signing.hub).update(message.body).digest("hex");
    headers.push("x-hub-signature", `${algorithm}=${signature}`);
    const standard = createHmac("sha256", signing.standard)
      .update(`${message.id}.${timestamp}.`).update(message.body).digest("base64");
    headers.push("webhook-signature", `v1,${standard}`);
  }
  return headers;
}
