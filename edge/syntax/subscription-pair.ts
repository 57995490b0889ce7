// Which subscription a request is about (WIRE §5): its topic and its callback.

import { HubError } from "../answers/hub-error.ts";
import type { Parameters } from "./form.ts";
import { fitsInBytes } from "../../shared/topic.ts";
import { parseTopic } from "./topic.ts";

/** The longest callback, bytes of UTF-8. */
export const MAX_CALLBACK_BYTES = 2_048;

export interface SubscriptionPair {
  readonly topic: string;
  readonly callback: string;
}

/** Reads `topic` and `callback`. @throws {HubError} "invalid_request", naming the parameter */
export function parseSubscriptionPair(parameters: Parameters): SubscriptionPair {
  const topic = parseTopic("topic", parameters.first("topic"));
  const callback = parameters.first("callback") ?? "";
  if (callback === "") {
    throw new HubError("invalid_request", "callback is missing; send the callback of the subscription.");
  }
  if (!fitsInBytes(callback, MAX_CALLBACK_BYTES)) {
    throw new HubError("invalid_request", `callback is longer than ${MAX_CALLBACK_BYTES} bytes.`);
  }
  return { topic, callback };
}
