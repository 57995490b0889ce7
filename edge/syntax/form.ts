// Parameters of a query or form body (WIRE §1 "Parsing"): split first, decode once. On `&`, then on the first `=`, then
// `+` is a space and %XX is a byte of UTF-8.

import { HubError, quoted } from "../answers/hub-error.ts";

/** The media type of a form. */
export const FORM = "application/x-www-form-urlencoded";
/** A form may have this many bytes, however long or short messages may be. */
export const FORM_MAX_BYTES = 65_536;
const MAX_PARAMETERS = 1_000;

/** Parameters in the order they were sent. */
export class Parameters {
  readonly #pairs: readonly (readonly [string, string])[];
  constructor(pairs: readonly (readonly [string, string])[]) {
    this.#pairs = pairs;
  }
  /** The first value of a parameter: its repeats do not count. */
  first(name: string): string | undefined {
    return this.#pairs.find((pair) => pair[0] === name)?.[1];
  }
  /** All values of all these names, in order. */
  all(...names: string[]): string[] {
    return this.#pairs.filter((pair) => names.includes(pair[0])).map((pair) => pair[1]);
  }

  /** Whether there is a parameter of another name. */
  hasOtherThan(...names: string[]): boolean {
    return this.#pairs.some((pair) => !names.includes(pair[0]));
  }
}

/**
 * Parses the text of a query, without its "?". `where` ("query", "form") is for the sentence of an error.
 * @throws {HubError} "invalid_request": more than 1,000 parameters, or one that is not percent-encoded UTF-8
 */
export function parseQuery(text: string, where = "query"): Parameters {
  const pairs: [string, string][] = [];
  for (let from = 0; from < text.length;) {
    const ampersand = text.indexOf("&", from);
    const to = ampersand === -1 ? text.length : ampersand;
    if (to > from) {
      if (pairs.length === MAX_PARAMETERS) {
        throw new HubError("invalid_request", `The ${where} has more than ${MAX_PARAMETERS} parameters; send fewer.`);
      }
      pairs.push(parsePair(text.slice(from, to), pairs.length + 1, where));
    }
    from = to + 1;
  }
  return new Parameters(pairs);
}

/**
 * Parses a form body's bytes.
 * @throws {HubError} as `parseQuery`
 */
export function parseForm(body: Uint8Array): Parameters {
  return parseQuery(textOf(body), "form");
}

/** The query of a request's URL as it was sent, without "?" and fragment; "" if there is none. */
export function rawQueryOf(url: string): string {
  const end = url.indexOf("#");
  const whole = end === -1 ? url : url.slice(0, end);
  const start = whole.indexOf("?");
  return start === -1 ? "" : whole.slice(start + 1);
}

function parsePair(pair: string, position: number, where: string): [string, string] {
  const equals = pair.indexOf("=");
  const name = decode(equals === -1 ? pair : pair.slice(0, equals));
  if (name === null) throw undecodable(`The name of parameter ${position} of the ${where}`);
  if (equals === -1) return [name, ""];
  const value = decode(pair.slice(equals + 1));
  if (value === null) throw undecodable(name.startsWith("hub.") ? name.slice(0, 60) : `Parameter ${quoted(name)}`);
  return [name, value];
}

function undecodable(what: string): HubError {
  return new HubError("invalid_request", `${what} is not percent-encoded UTF-8; encode its bytes as %XX.`);
}

function decode(text: string): string | null {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  try {
    // Strict both ways: a stray % and bytes that are not UTF-8 (lone surrogates among them) throw.
    return decodeURIComponent(spaced);
  } catch {
    return null;
  }
}

/**
 * A form's bytes as text. Bytes that are not UTF-8 by themselves become %XX: together with escaped ones they may be, and all are decoded
 * once.
 */
function textOf(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return escaped(bytes);
  }
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const PERCENT = 0x25;
const DIGITS = new TextEncoder().encode("0123456789ABCDEF");

function escaped(bytes: Uint8Array): string {
  const ascii = new Uint8Array(3 * bytes.length);
  let length = 0;
  for (const byte of bytes) {
    if (byte < 0x80) ascii[length++] = byte;
    else {
      ascii[length++] = PERCENT;
      ascii[length++] = DIGITS[byte >> 4]!;
      ascii[length++] = DIGITS[byte & 15]!;
    }
  }
  return STRICT.decode(ascii.subarray(0, length));
}

/** Media type parameters never matter for dispatch. */
export function isForm(contentType: string): boolean {
  const end = contentType.indexOf(";");
  const type = end === -1 ? contentType : contentType.slice(0, end);
  return type.trim().toLowerCase() === FORM;
}
