// The hash and the MAC of each request between the tiers, as a port: WebCrypto, which is everywhere, costs 30 µs of CPU for the two
// on Node, and node:crypto (shared/runtime/digests.ts) 5.

export interface Digests {
  /** Lower-case hex SHA-256. */
  sha256(body: Uint8Array): string | Promise<string>;
  /** HMAC-SHA256 of the text's UTF-8, base64url. */
  hmac(key: Uint8Array, text: string): string | Promise<string>;
}

export function createWebDigests(): Digests {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  // One at a time is in use: an edge has a session for each core.
  const keys = new WeakMap<Uint8Array, Promise<CryptoKey>>();
  const imported = (key: Uint8Array): Promise<CryptoKey> => {
    let known = keys.get(key);
    if (known === undefined) {
      known = crypto.subtle.importKey("raw", key as BufferSource, algorithm, false, ["sign"]);
      keys.set(key, known);
    }
    return known;
  };
  return {
    async sha256(body) {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body as BufferSource));
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    },
    async hmac(key, text) {
      const mac = new Uint8Array(await crypto.subtle.sign("HMAC", await imported(key), encoder.encode(text)));
      return btoa(String.fromCharCode(...mac)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    },
  };
}
