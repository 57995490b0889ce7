// How long the requests to callbacks may be, without their bodies (WIRE §3). A server that finds one too long answers 431, or 400, to
// every attempt, so a longer one is refused where its parts come from: at the publish, at the subscribe, at the topic fetch.

/** Request line and headers of a request to a callback, bytes: what Tomcat, Jetty and nginx take unless they are told otherwise. */
export const HEAD_MAX_BYTES = 8_192;

/**
 * The part of it that comes with a message, bytes: its Content-Type, its publisher's headers, and its topic in `Link`. The rest is for
 * the request line with the callback (2,048 bytes), and for the hub's own headers (1,024 bytes).
 */
export const MESSAGE_HEAD_MAX_BYTES = 5_120;
export const CALLBACK_CALLED_MAX_BYTES = 2_048;

/** The most headers that travel with a message. Apache, Tomcat and this hub take 100 in one request; a delivery has a dozen of its own. */
export const MESSAGE_HEADERS_MAX = 64;

/** No topic takes more of a message's part. A topic that is longer leaves less for the callback. */
const TOPIC_MAX_BYTES = 4_096;

/** The bytes that a topic takes of a message's part: as it stands in `Link`, percent-encoded. */
export function topicBytes(topic: string): number {
  return Math.min(TOPIC_MAX_BYTES, linkTarget(topic).length);
}

/** How many bytes a callback to this topic may have as it is called: host, path and query. */
export function callbackMaxBytes(topic: string): number {
  return Math.max(0, CALLBACK_CALLED_MAX_BYTES - (linkTarget(topic).length - topicBytes(topic)));
}

/** The bytes that a header takes in a request: name, colon, space, value and line end. Each character of a value is one byte. */
export function headerBytes(name: string, value: string): number {
  return name.length + value.length + 4;
}

/** A URI reference as it may stand between angle brackets: what RFC 3986 does not allow is percent-encoded. */
export function linkTarget(uri: string): string {
  return uri.replace(/(?:[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2}))+/gu, encodeURIComponent);
}
