// The headers of an attempt (WIRE §3), signed with a secret that is opened for it. An attempt whose secret cannot be opened is not sent.
import { createHmac } from "node:crypto";
import { SecretError } from "../../keys/secrets.ts";
import type { Signers, Signing } from "../../keys/signers.ts";
import type { Message } from "../../messages/message.ts";
import type { SignatureMethod } from "../../../shared/signature-methods.ts";
import type { Target } from "../lane/target.ts";

export interface SignedHeadersOptions {
  readonly signers: Signers;
  readonly userAgent: string;
  /** Of subscriptions that chose none. */
  readonly signature: SignatureMethod;
}

/** Name and value in turn, or why the secret cannot be opened. `now`: ms since 1970. */
export type SignedHeaders = (target: Target, message: Message, now: number) => string[] | SecretError;

export function createSignedHeaders(options: SignedHeadersOptions): SignedHeaders {
  const { signers, userAgent } = options;
  return (target, message, now) => {
    try {
      const { signer } = target;
      // Opens the secret if it is not open.
      const signing = signer === undefined ? undefined : signers.of(signer);
      const algorithm = target.signature ?? options.signature;
      return attemptHeaders(target, message, { userAgent, algorithm, signing, now });
    } catch (error) {
      if (error instanceof SecretError) return error;
      throw error;
    }
  };
}

export interface AttemptHeadersOptions {
  readonly userAgent: string;
  readonly algorithm: SignatureMethod;
  /** The target's signer, opened; undefined if it has none. */
  readonly signing: Signing | undefined;
  /** The attempt's time, ms since 1970. */
  readonly now: number;
}

/** The headers of one attempt, name and value in turn. */
export function attemptHeaders(
  target: Target,
  message: Message,
  { userAgent, algorithm, signing, now }: AttemptHeadersOptions,
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
