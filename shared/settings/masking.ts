// What of a setting may be printed: a value may hold secrets where one would not look for them.

export const MASK = "********";
/** What is public of a key (RFC 8037). */
const PUBLIC = ["kty", "crv", "kid", "use", "alg", "x"];

/** Whether a text is no path and no name, but keys: JSON, or PEM. */
export function holdsKeys(written: string): boolean {
  return /^\s*[{[]/.test(written) || written.includes("-----BEGIN ");
}

/** A text, unless it holds keys; URLs without their queries, since some providers want a key there. */
export function withoutSecrets(written: string): string {
  if (holdsKeys(written)) return MASK;
  if (!written.includes("://")) return written;
  return written.split(",").map((url) => url.includes("?") ? `${url.slice(0, url.indexOf("?"))}?${MASK}` : url).join();
}

/** A JWKS with the public halves of its keys alone; other text as `withoutSecrets`. */
export function withoutPrivateHalves(written: string): string {
  if (!holdsKeys(written)) return withoutSecrets(written);
  try {
    const { keys } = JSON.parse(written) as { readonly keys: readonly Readonly<Record<string, unknown>>[] };
    const halves = keys.map((key) => Object.fromEntries(Object.entries(key).filter(([name]) => PUBLIC.includes(name))));
    return JSON.stringify({ keys: halves });
  } catch {
    return MASK;
  }
}
