// The port of the MAC of each request between the tiers. WebCrypto is on every runtime, and takes 20 µs of CPU a MAC on Node;
// node:crypto (shared/runtime/digests.ts) takes 3.

import { base64UrlOf } from "./encoding.ts";

export interface Digests {
  /**
   * HMAC-SHA256 under this key, base64url, of a text's UTF-8 and the bytes after it. One function serves many requests, since
   * importing a key costs more than a MAC.
   */
  hmac(key: Uint8Array): (text: string, body: Uint8Array) => string | Promise<string>;
}

export function createWebDigests(): Digests {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return {
    hmac(key) {
      let imported: CryptoKey | undefined;
      return async (text, body) => {
        // The key is kept, and not the promise of it: a Worker's requests cannot wait for each other's work.
        imported ??= await crypto.subtle.importKey("raw", key as BufferSource, algorithm, false, ["sign"]);
        const head = encoder.encode(text);
        const signed = new Uint8Array(head.length + body.length);
        signed.set(head);
        signed.set(body, head.length);
        const mac = new Uint8Array(await crypto.subtle.sign("HMAC", imported, signed));
        return base64UrlOf(mac);
      };
    },
  };
}
