// The denied notice (§5.2): "there is no subscription (any more)". A GET whose answer means nothing.

import { appendQuery } from "../http-url.ts";

/** The URL to call for a denied notice: the callback with its own query, then mode, topic as the subscriber sent it, reason. */
export function deniedUrl(callback: string, topic: string, reason: string): string {
  return appendQuery(callback, [["hub.mode", "denied"], ["hub.topic", topic], ["hub.reason", reason]]);
}
