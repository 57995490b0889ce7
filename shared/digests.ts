// The hash and the MAC of each request between the tiers, as a port: WebCrypto, which is everywhere, costs 30 µs of CPU for the two
// on Node, and node:crypto (shared/runtime/digests.ts) 5.

export interface Digests {
  /** Lower-case hex SHA-256. */
  sha256(body: Uint8Array): string | Promise<string>;
  /** HMAC-SHA256 under this key, of a text's UTF-8, base64url. Made once for many texts: taking a key in costs more than the MAC. */
  hmac(key: Uint8Array): (text: string) => string | Promise<string>;
}

export function createWebDigests(): Digests {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return {
    async sha256(body) {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body as BufferSource));
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    },
    hmac(key) {
      let imported: Promise<CryptoKey> | undefined;
      return async (text) => {
        imported ??= crypto.subtle.importKey("raw", key as BufferSource, algorithm, false, ["sign"]);
        const mac = new Uint8Array(await crypto.subtle.sign("HMAC", await imported, encoder.encode(text)));
        return btoa(String.fromCharCode(...mac)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
      };
    },
  };
}
