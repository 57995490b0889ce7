// What a topic may be (WIRE "Words").

import { parseHttpUrl, UrlError } from "../../shared/http-url.ts";
import { isHttpUrl } from "../../shared/identity.ts";
import { HubError } from "../answers/hub-error.ts";

const MAX_BYTES = 2_048;
/** URLs that are not http(s): by their authority, or by a scheme that needs none. */
const OTHER_URL = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:about|blob|data|file|ftp|https?|javascript|mailto|vbscript|wss?):)/i;
const encoder = new TextEncoder();

/**
 * Checks a topic as it was decoded, and yields it unchanged.
 * @throws {HubError} "invalid_request", naming `parameter`
 */
export function parseTopic(parameter: string, value: string | undefined): string {
  const refuse = (what: string) => new HubError("invalid_request", `${parameter} ${what}.`);
  if (value === undefined) throw refuse("is missing; send the topic");
  if (value === "") throw refuse("is empty; send the topic");
  if (!fitsInBytes(value, MAX_BYTES)) throw refuse(`is longer than ${MAX_BYTES} bytes`);
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) throw refuse("has a control character");
  if (isHttpUrl(value)) {
    try {
      parseHttpUrl(value);
    } catch (error) {
      if (error instanceof UrlError) throw refuse(error.message);
      throw error;
    }
    return value;
  }
  // §5.1.1: a topic URL is http or https; anything else is a name, also one with a colon ("orders:created", "urn:…").
  if (OTHER_URL.test(value)) throw refuse("must be an http or https URL, or a name without a scheme");
  if (/%[0-9a-f]{2}/i.test(value)) throw refuse("is percent-encoded twice; encode it once");
  return value;
}

/** Whether the UTF-8 form of a text has at most so many bytes. */
export function fitsInBytes(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return true;
  return text.length <= bytes && encoder.encode(text).length <= bytes;
}
