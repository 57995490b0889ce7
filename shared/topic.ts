// What a topic may be (WIRE "Words").

import { parseHttpUrl, UrlError } from "./http-url.ts";
import { isHttpUrl } from "./identity.ts";

const MAX_BYTES = 2_048;
/** URLs that are not http(s): by their authority, or by a scheme that needs none. */
const OTHER_URL = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:about|blob|data|file|ftp|https?|javascript|mailto|vbscript|wss?):)/i;
const encoder = new TextEncoder();

/** Why a decoded text can be no topic, as words that follow its parameter's name; undefined if it can. */
export function topicProblem(topic: string): string | undefined {
  if (topic === "") return "is empty; send the topic";
  if (!fitsInBytes(topic, MAX_BYTES)) return `is longer than ${MAX_BYTES} bytes`;
  if (/[\u0000-\u001f\u007f-\u009f]/.test(topic)) return "has a control character";
  if (isHttpUrl(topic)) {
    try {
      parseHttpUrl(topic);
    } catch (error) {
      if (error instanceof UrlError) return error.message;
      throw error;
    }
    return undefined;
  }
  // §5.1.1: a topic URL is http or https; anything else is a name, also one with a colon ("orders:created", "urn:…").
  if (OTHER_URL.test(topic)) return "must be an http or https URL, or a name without a scheme";
  if (/%[0-9a-f]{2}/i.test(topic)) return "is percent-encoded twice; encode it once";
  return undefined;
}

/** Whether the UTF-8 form of a text has at most so many bytes. */
export function fitsInBytes(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return true;
  return text.length <= bytes && encoder.encode(text).length <= bytes;
}
