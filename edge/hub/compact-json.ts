// The one exception to "byte for byte", by name (COMPACT_JSON): whitespace outside strings goes, tokens are never re-written,
// so that 1.0 stays 1.0 and \u00e9 stays \u00e9.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** JSON without the whitespace between its tokens; what is not JSON comes back as it was. */
export function compactJson(body: Uint8Array): Uint8Array {
  if (!isJson(body)) return body;
  const compact = new Uint8Array(body.length);
  let length = 0;
  let inString = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]!;
    if (inString) {
      if (byte === BACKSLASH) compact[length++] = body[at++]!;
      else if (byte === QUOTE) inString = false;
    } else {
      // RFC 8259 §2: space, tab, line feed, carriage return.
      if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) continue;
      inString = byte === QUOTE;
    }
    compact[length++] = body[at]!;
  }
  return compact.subarray(0, length);
}

function isJson(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
    return true;
  } catch {
    return false;
  }
}
