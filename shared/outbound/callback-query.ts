// The URLs of the GETs by which the hub asks a callback (§5.3) or notifies it (§5.2). The hub's parameters follow the callback's
// own query, which stays as it was given (§5.1.1).

import { appendQuery, parseHttpUrl } from "../http-url.ts";

/** What a verification GET says. `topic` and `callback` are exactly as the subscriber sent them. */
export interface AskedIntent {
  readonly mode: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  /** Granted lease, ms; subscribe only. */
  readonly leaseMs?: number;
  readonly verifyToken?: string;
}

/** The URL of a verification GET (§5.3). */
export function verificationUrl(intent: AskedIntent, challenge: string): string {
  const parameters: [string, string][] = [
    ["hub.mode", intent.mode],
    ["hub.topic", intent.topic],
    ["hub.challenge", challenge],
  ];
  if (intent.mode === "subscribe" && intent.leaseMs !== undefined) {
    parameters.push(["hub.lease_seconds", String(Math.floor(intent.leaseMs / 1_000))]);
  }
  // PubSubHubbub 0.3: echoed only if it was given.
  if (intent.verifyToken !== undefined) parameters.push(["hub.verify_token", intent.verifyToken]);
  return appendQuery(intent.callback, parameters);
}

/** More than each challenge has. */
const CHALLENGE_BYTES = 48;
/** Method, version, and the headers beside `Host`: Accept, Connection, User-Agent. */
const BESIDE_BYTES = 192;

/** The bytes of a verification GET without a body: request line and headers. @throws {UrlError} */
export function verificationHeadBytes(intent: AskedIntent): number {
  const { host, target } = parseHttpUrl(verificationUrl(intent, "x".repeat(CHALLENGE_BYTES)));
  return target.length + host.length + BESIDE_BYTES;
}

/** The URL of a denied notice (§5.2). `topic` is as the subscriber sent it. */
export function deniedUrl(callback: string, topic: string, reason: string): string {
  // A reason that names a long topic again would make a request line that many servers refuse.
  const told = reason.length <= MOST_REASON ? reason : `${reason.slice(0, MOST_REASON).toWellFormed()}…`;
  return appendQuery(callback, [["hub.mode", "denied"], ["hub.topic", topic], ["hub.reason", told]]);
}

/** Characters of a notice's reason. */
const MOST_REASON = 200;
