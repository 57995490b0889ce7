// Settings of what the hub takes, for how long, and how it verifies and delivers.
import { SIGNATURE_METHODS } from "../signature-methods.ts";
import { row, type ValuesOf } from "./row.ts";
import { cidrs, type ClientOrigin, clientOrigins, duration, integer, oneOf, seconds, topicPatterns } from "./values.ts";

export const DELIVERY_ROWS = {
  topicRegistration: row({
    name: "TOPIC_REGISTRATION",
    default: "automatic",
    what: "How a topic comes to be.",
    meanings: {
      "automatic": "It exists from its first register, content, ping or verified subscribe.",
      "required": "Only `hub.mode=register` makes one. Content for another is 404, a subscriber of another is denied.",
    },
    change: "If a typing error in a topic's name is to be an error.",
    value: oneOf(["automatic", "required"]),
  }),
  messageMaxBytes: row({
    name: "MESSAGE_MAX_BYTES",
    default: "1000000",
    what: "Largest body of a message, published or fetched; longer is 413.",
    change:
      "If your documents are larger. Kafka topics that are there already must take as much: change them first, the start names what it expects.",
    value: integer(1, 64 * 1024 * 1024, "bytes"),
  }),
  leaseDefaultMs: row({
    name: "LEASE_DEFAULT",
    default: "864000",
    what: "Seconds of a lease if the subscriber asks for none.",
    change: "If your subscribers renew more or less often than every ten days.",
    value: seconds(1, 315_360_000),
  }),
  leaseMinMs: row({
    name: "LEASE_MIN",
    default: "60",
    what: "Shortest lease granted, seconds.",
    change: "For tests, or to keep subscribers from renewing all the time.",
    value: seconds(1, 315_360_000),
  }),
  leaseMaxMs: row({
    name: "LEASE_MAX",
    default: "7776000",
    what: "Longest lease granted, seconds.",
    change: "If a subscription whose owner is gone is to end earlier or later than after 90 days.",
    value: seconds(1, 315_360_000),
  }),
  deliveryTimeoutMs: row({
    name: "DELIVERY_TIMEOUT",
    default: "30s",
    what: "How long one attempt may take until the head of its answer.",
    change: "If callbacks work for longer before they answer.",
    value: duration("10ms", "5m"),
  }),
  retryMinMs: row({
    name: "RETRY_MIN",
    default: "1s",
    what: "First gap between attempts. It doubles, with full jitter.",
    change: "If callbacks need more time to recover.",
    value: duration("1ms", "1d"),
  }),
  retryMaxMs: row({
    name: "RETRY_MAX",
    default: "5m",
    what: "Longest gap between attempts, and longest `Retry-After` obeyed.",
    change: "If a subscriber that is away is to be tried more or less often before it is parked.",
    value: duration("1ms", "1d"),
  }),
  parkAfterMs: row({
    name: "PARK_AFTER",
    default: "15m",
    what: "How long a subscription may fail before it is parked. Nothing is lost by that.",
    change: "If short outages are longer than 15 minutes where you are.",
    value: duration("1ms", "7d"),
  }),
  probeIntervalMs: row({
    name: "PROBE_INTERVAL",
    default: "5m",
    what: "How often a parked subscription is tried with its next message.",
    change:
      "Shorter: a subscriber that is back gets its messages earlier. Longer: fewer attempts at those that are away.",
    value: duration("10ms", "7d"),
  }),
  deadLetterAttempts: row({
    name: "DEAD_LETTER_ATTEMPTS",
    default: "5",
    what:
      "How often a callback may answer one message 400, 413, 415, 422, 431 or 494 before it is a dead letter, and the next one follows.",
    change: "1, if such an answer is always final.",
    value: integer(1, 100),
  }),
  deadLetter500Attempts: row({
    name: "DEAD_LETTER_500_ATTEMPTS",
    default: "0",
    what:
      "How often a callback may answer one message 500 (exactly 500) before it is a dead letter, and the next one follows. 0: for ever, in order.",
    change:
      "If subscribers answer 500 to a message that they will never take, as MOSIP's do to a body whose signature they compute wrongly. Set it well above what an outage brings: an attempt counts whenever the callback answers, also while the subscription is parked. A subscriber that answers 500 while it is broken loses its order, and has to ask for its dead letters.",
    value: integer(0, 1_000),
  }),
  retentionMs: row({
    name: "RETENTION",
    default: "7d",
    what: "How long messages, dead letters and ended subscriptions are kept.",
    change:
      "If subscribers may be away for longer, or the disk is small. Kafka topics that are there already must say the same: change them first, the start names what it expects.",
    value: duration("1s", "3650d"),
  }),
  laneMemoryBytes: row({
    name: "LANE_MEMORY_BYTES",
    default: "268435456",
    what: "Memory for messages that wait in lanes, of one core. What does not fit is read again from the log.",
    change: "If a core has much memory and many subscribers that are slow.",
    value: integer(65_536, 1024 ** 4, "bytes"),
  }),
  signature: row({
    name: "SIGNATURE",
    default: "sha256",
    what: "Hash of `X-Hub-Signature`, for subscriptions with a secret that chose none by `hub.signature`.",
    meanings: {
      "sha1": "For readers of PubSubHubbub 0.3 and 0.4, which know nothing else.",
      "sha256": "What WebSub's subscribers expect today.",
      "sha384": "Longer. Few subscribers expect it.",
      "sha512": "Longest. Few subscribers expect it.",
    },
    change:
      "To `sha1` only if you have subscribers that check nothing else and cannot send `hub.signature`. `webhook-signature` is SHA-256 in any case.",
    value: oneOf(SIGNATURE_METHODS),
  }),
  compactJson: row<readonly string[]>({
    name: "COMPACT_JSON",
    default: null,
    unset: [],
    what:
      "Topics whose JSON loses the whitespace outside strings, a list. In an entry `*` stands for any characters, also for none and for `/`: `*`, `partner/*`, `https://*.example/events/*`. A body is JSON if it is one JSON text in UTF-8, whatever its type. Anything else stays as it is, byte for byte: several JSON texts, XML, what has a `Content-Encoding`. The signature is over the result.",
    change:
      "If a subscriber computes the signature over anything but the bytes it was sent. MOSIP's joins the body's lines by one line feed first, so it answers 500 for ever to a body that ends in a line break, or has CRLF or CR; `*` mends that for JSON. XML and other text the hub cannot mend: their publisher has to send them with line feeds alone, and none at the end. A comma in a topic is written as `*`.",
    value: topicPatterns,
  }),
  verification: row({
    name: "VERIFICATION",
    default: "challenge",
    what: "How a subscribe is verified.",
    meanings: {
      "challenge": "By the challenge of §5.3: the callback answers a GET with the value it was given.",
      "ping":
        "By a signed POST that any 2xx confirms. A callback that says 2xx to everything can then be subscribed by anyone who may subscribe.",
    },
    change: "Only for callbacks that cannot answer a challenge. It leaves the letter of the specification.",
    value: oneOf(["challenge", "ping"]),
  }),
  autoVerify: row({
    name: "AUTO_VERIFY",
    default: "off",
    what: "Whether a request that the policy marks is taken as verified without asking its callback.",
    meanings: {
      "off": "Every callback is asked.",
      "on":
        "A callback is not asked if the client has the scope or role `websub:auto-verify`, or the callback's origin is registered to it; and if no other client has a subscription of this pair, or waits for its verification.",
    },
    change: "If clients that you trust subscribe callbacks which cannot answer a challenge.",
    value: oneOf(["off", "on"]),
  }),
  autoVerifyOrigins: row<readonly ClientOrigin[]>({
    name: "AUTO_VERIFY_ORIGINS",
    default: null,
    unset: [],
    what:
      "Callback origins registered to a client, a list of `user=origin`, or `issuer user=origin` where there are several issuers. `user` is the `preferred_username` of its token, or its `sub` if the token has none. `sub:user`, `preferred_username:user` and `client_id:user` take that claim only.",
    change: "With `TIDINGS_AUTO_VERIFY=on`.",
    value: clientOrigins,
  }),
  outboundAllow: row({
    name: "OUTBOUND_ALLOW",
    default: {
      from: "ACCESS",
      make: (access) => access === "open" ? "127.0.0.0/8,::1/128" : "",
      shown: "`127.0.0.0/8,::1/128` with `ACCESS=open`, else none",
    },
    what: "Private networks that callbacks and topics may be in, a list of CIDRs. Empty: none.",
    change: "If subscribers or topics are inside your own network, or on this machine.",
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
