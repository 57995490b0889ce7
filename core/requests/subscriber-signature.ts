// A subscriber's signature instead of a token (WIRE §5): an HMAC of its request under the secret of its subscription.
import { createHmac, timingSafeEqual } from "node:crypto";
import { SIGNATURE_SKEW_MS } from "../state/acted-requests.ts";
import type { SignedHeaders, SignedRequest, TextSigner } from "../../shared/core-api.ts";

/** The same sentence for an unknown pair, a pair without a secret and a wrong signature: it does not tell which. */
const WRONG = "X-Subscriber-Signature is not that of a subscription of this topic and callback";

/**
 * The text that `v1=` signs: METHOD LF path LF raw query LF timestamp LF hex SHA-256 of the body. `v2=` signs three more lines:
 * Idempotency-Key, Last-Event-ID, and `text/event-stream` if Accept asks for events.
 */
export function signedText({ method, path, query, timestamp, bodySha256 }: Unsigned, headers?: SignedHeaders): string {
  const lines = [method, path, query, timestamp, bodySha256];
  if (headers === undefined) return lines.join("\n");
  const { idempotencyKey, lastEventId, events } = headers;
  return [...lines, idempotencyKey, lastEventId, events ? "text/event-stream" : ""].join("\n");
}

type Unsigned = Omit<SignedRequest, "signature" | "headers">;

/** Whether the signature is of the kind that covers the headers which change what a request means. */
export function coversHeaders({ signature }: Pick<SignedRequest, "signature">): boolean {
  return signature.startsWith("v2=");
}

/** Says to the sender why a signature does not count; undefined if it is right. `time` is ms since 1970. */
export function wrongSignature(request: SignedRequest, secret: string | undefined, time: number): string | undefined {
  const { timestamp, signature, headers } = request;
  if (!/^[0-9]{1,12}$/.test(timestamp)) return "X-Subscriber-Timestamp must be the time in whole seconds since 1970";
  if (Math.abs(time - Number(timestamp) * 1_000) > SIGNATURE_SKEW_MS) {
    return "X-Subscriber-Timestamp is more than 300 s off; sign the request anew";
  }
  const encoded = /^v[12]=([A-Za-z0-9+/]{43}=)$/.exec(signature)?.[1];
  const covered = coversHeaders(request) ? headers : undefined;
  if (encoded === undefined || (covered === undefined && coversHeaders(request))) {
    return "X-Subscriber-Signature must be v1= or v2= and the base64 of an HMAC-SHA256";
  }
  return isRight(encoded, signedText(request, covered), secret) ? undefined : WRONG;
}

/** As `wrongSignature`, for a text without a time. */
export function wrongTextSignature({ text, signature }: TextSigner, secret: string | undefined): string | undefined {
  return BASE64_OF_HMAC.test(signature) && isRight(signature, text, secret) ? undefined : WRONG;
}

const BASE64_OF_HMAC = /^[A-Za-z0-9+/]{43}=$/;

/** Whether this is the base64 of a text's HMAC. */
function isRight(encoded: string, text: string, secret: string | undefined): boolean {
  const given = Buffer.from(encoded, "base64");
  // Without a secret the key is empty: the check takes as long for a pair that does not exist.
  const right = createHmac("sha256", secret ?? "").update(text).digest();
  // Base64 has spare bits: only the canonical spelling of the bytes counts.
  const equal = timingSafeEqual(given, right) && given.toString("base64") === encoded;
  return equal && secret !== undefined;
}
