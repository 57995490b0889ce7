// Settings of what the hub takes, for how long, and how it verifies and delivers.
import { row, type ValuesOf } from "./row.ts";
import { cidrs, type ClientOrigin, clientOrigins, duration, integer, oneOf, seconds, topics } from "./values.ts";

export const DELIVERY_ROWS = {
  topicRegistration: row({
    name: "TOPIC_REGISTRATION",
    default: "automatic",
    what: "`automatic`: a topic exists from its first use; `required`: only `hub.mode=register` makes one",
    value: oneOf(["automatic", "required"]),
  }),
  messageMaxBytes: row({
    name: "MESSAGE_MAX_BYTES",
    default: "1000000",
    what: "Largest body of a message, published or fetched",
    value: integer(1, 64 * 1024 * 1024, "bytes"),
  }),
  leaseDefaultMs: row({
    name: "LEASE_DEFAULT",
    default: "864000",
    what: "Seconds of a lease if the subscriber asks for none",
    value: seconds(1, 315_360_000),
  }),
  leaseMinMs: row({
    name: "LEASE_MIN",
    default: "60",
    what: "Shortest lease granted, seconds",
    value: seconds(1, 315_360_000),
  }),
  leaseMaxMs: row({
    name: "LEASE_MAX",
    default: "7776000",
    what: "Longest lease granted, seconds",
    value: seconds(1, 315_360_000),
  }),
  deliveryTimeoutMs: row({
    name: "DELIVERY_TIMEOUT",
    default: "30s",
    what: "How long one attempt may take until its answer",
    value: duration("10ms", "5m"),
  }),
  retryMinMs: row({
    name: "RETRY_MIN",
    default: "1s",
    what: "First gap between attempts; it doubles, with full jitter",
    value: duration("1ms", "1d"),
  }),
  retryMaxMs: row({
    name: "RETRY_MAX",
    default: "5m",
    what: "Longest gap between attempts, and longest `Retry-After` obeyed",
    value: duration("1ms", "1d"),
  }),
  parkAfterMs: row({
    name: "PARK_AFTER",
    default: "15m",
    what: "How long a subscription may fail before it is parked",
    value: duration("1ms", "7d"),
  }),
  probeIntervalMs: row({
    name: "PROBE_INTERVAL",
    default: "5m",
    what: "How often a parked subscription is tried with its next message",
    value: duration("10ms", "7d"),
  }),
  deadLetterAttempts: row({
    name: "DEAD_LETTER_ATTEMPTS",
    default: "5",
    what: "Attempts with a message that the callback answers 400, 413, 415 or 422, before it is a dead letter",
    value: integer(1, 100),
  }),
  retentionMs: row({
    name: "RETENTION",
    default: "7d",
    what: "How long messages, dead letters and ended subscriptions are kept",
    value: duration("1s", "3650d"),
  }),
  laneMemoryBytes: row({
    name: "LANE_MEMORY_BYTES",
    default: "268435456",
    what: "Memory for messages waiting in lanes; what does not fit is read again from the log",
    value: integer(65_536, 1024 ** 4, "bytes"),
  }),
  signature: row({
    name: "SIGNATURE",
    default: "sha256",
    what: "Method of `X-Hub-Signature`",
    value: oneOf(["sha1", "sha256", "sha384", "sha512"]),
  }),
  compactJson: row<readonly string[]>({
    name: "COMPACT_JSON",
    default: null,
    unset: [],
    what: "Topics whose JSON loses the whitespace outside strings, a list",
    value: topics,
  }),
  verification: row({
    name: "VERIFICATION",
    default: "challenge",
    what: "How a subscribe is verified: `challenge` (§5.3), or `ping`, a signed POST that any 2xx confirms",
    value: oneOf(["challenge", "ping"]),
  }),
  autoVerify: row({
    name: "AUTO_VERIFY",
    default: "off",
    what: "`on`: a request that the policy marks is taken as verified without asking its callback",
    value: oneOf(["off", "on"]),
  }),
  autoVerifyOrigins: row<readonly ClientOrigin[]>({
    name: "AUTO_VERIFY_ORIGINS",
    default: null,
    unset: [],
    what:
      "Callback origins registered to a client, a list of `user=origin`, or `issuer user=origin`; the policy marks its requests for them",
    value: clientOrigins,
  }),
  outboundAllow: row({
    name: "OUTBOUND_ALLOW",
    default: {
      from: "ACCESS",
      make: (access) => access === "open" ? "127.0.0.0/8,::1/128" : "",
      shown: "`127.0.0.0/8,::1/128` with `ACCESS=open`, else none",
    },
    what: "Private networks that callbacks and topics may be in, a list of CIDRs; empty: none",
    value: cidrs,
  }),
} as const;

/** What is wrong, as a sentence that says what to set; undefined if nothing is. */
export function deliveryProblem(settings: ValuesOf<typeof DELIVERY_ROWS>): string | undefined {
  const { leaseMinMs, leaseDefaultMs, leaseMaxMs, retryMinMs, retryMaxMs } = settings;
  if (leaseMinMs > leaseMaxMs) return "TIDINGS_LEASE_MIN must not be more than TIDINGS_LEASE_MAX";
  if (leaseDefaultMs < leaseMinMs || leaseDefaultMs > leaseMaxMs) {
    return "TIDINGS_LEASE_DEFAULT must lie between TIDINGS_LEASE_MIN and TIDINGS_LEASE_MAX";
  }
  if (retryMinMs > retryMaxMs) return "TIDINGS_RETRY_MIN must not be more than TIDINGS_RETRY_MAX";
  return undefined;
}
