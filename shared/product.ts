// What this software calls itself on the wire (WIRE §3).

/** package.json's version; a test holds the two together. */
export const VERSION = "0.1.0";
/** The User-Agent of all calls to callbacks and topics. */
export const USER_AGENT = `Tidings/${VERSION}`;
