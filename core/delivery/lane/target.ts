// Where a lane's requests go and what of them never changes, so that it is not made for each attempt.
import { createHmac } from "node:crypto";
import type { HttpUrl } from "../../../shared/http-url.ts";
import type { Signer, Signing } from "../../keys/signers.ts";
import type { Address, Addressed, Addresses, Recipient } from "./addresses.ts";
import type { Message } from "../../messages/message.ts";

export type SignatureAlgorithm = "sha1" | "sha256" | "sha384" | "sha512";

export interface Target extends Addressed {
  readonly url: HttpUrl;
  /** The `Link` header, one line: hub and canonical topic (§7). */
  readonly link: string;
  /** undefined: the subscription has no secret, and nothing is signed (H66). */
  readonly signer: Signer | undefined;
}

export interface TargetOptions {
  readonly addresses: Addresses;
  readonly subscriptionId: string;
  /** What the subscription is now: asked when a request is made and what follows from it is not kept. */
  readonly recipientOf: (subscriptionId: string) => Recipient;
}

/** Its address is made at its first attempt, so the callback must be one that can be called. */
export function createTarget(options: TargetOptions): Target {
  return new LazyTarget(options);
}

/** One object a lane, which is its own signer too; it holds nothing that can be had again. */
class LazyTarget implements Target, Signer {
  readonly subscriptionId: string;
  address: Address | undefined;
  signing: Signing | undefined;
  readonly #addresses: Addresses;
  readonly #recipientOf: TargetOptions["recipientOf"];

  constructor({ addresses, subscriptionId, recipientOf }: TargetOptions) {
    this.#addresses = addresses;
    this.#recipientOf = recipientOf;
    this.subscriptionId = subscriptionId;
  }

  get recipient(): Recipient {
    return this.#recipientOf(this.subscriptionId);
  }
  get sealed(): string {
    return this.recipient.secret ?? "";
  }
  get url(): HttpUrl {
    return this.#addresses.of(this).url;
  }
  get link(): string {
    return this.#addresses.of(this).link;
  }
  get signer(): Signer | undefined {
    return this.#addresses.of(this).isSigned ? this : undefined;
  }
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
