// Standard Webhooks, symmetric (WIRE §3): which key makes `webhook-signature`, and what it is over.

import { bytesOfBase64 } from "./encoding.ts";

const encoder = new TextEncoder();

/** The key in a secret of the form `whsec_<base64>`, as base64; undefined: the key is the whole secret, as UTF-8. */
export function encodedKeyOf(secret: string): string | undefined {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  // An empty key would be one that everyone has.
  return encoded !== undefined && (bytesOfBase64(encoded)?.length ?? 0) > 0 ? encoded : undefined;
}

/** The key of a secret, in bytes. */
export function webhookKeyOf(secret: string): Uint8Array<ArrayBuffer> {
  const encoded = encodedKeyOf(secret);
  return (encoded === undefined ? null : bytesOfBase64(encoded)) ?? encoder.encode(secret);
}

/** What is signed: id and timestamp (seconds since 1970), then the body. */
export function webhookContent(id: string, timestamp: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(`${id}.${timestamp}.`);
  const content = new Uint8Array(head.length + body.length);
  content.set(head);
  content.set(body, head.length);
  return content;
}
