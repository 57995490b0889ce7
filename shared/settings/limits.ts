// Settings of what one client, one host and the edge as a whole may take.
import { row } from "./row.ts";
import { cidrs, duration, integer, text } from "./values.ts";

export const LIMIT_ROWS = {
  trustedProxies: row<readonly string[]>({
    name: "TRUSTED_PROXIES",
    default: null,
    unset: [],
    what:
      "Your own proxies, a list of CIDRs. A client's address is the last hop of `X-Forwarded-For` that is not one of them.",
    change: "Whenever a proxy is in front. Otherwise all clients are one address.",
    value: cidrs,
  }),
  addressHeader: row<string | undefined>({
    name: "ADDRESS_HEADER",
    default: null,
    what:
      "Header in which the platform in front names the client's address, such as `CF-Connecting-IP`, instead of `X-Forwarded-For`. It is believed from `TIDINGS_TRUSTED_PROXIES`; on a Worker, which has no sockets, always.",
    change:
      "On Cloudflare, or behind another platform that overwrites such a header. Otherwise anyone could name any address.",
    value: text("a header's name", /^[A-Za-z0-9-]{1,64}$/),
  }),
  requestsPerAddress: row({
    name: "REQUESTS_PER_ADDRESS",
    default: {
      from: "ACCESS",
      make: (access) => access === "open" ? "0" : access === "public" ? "1000" : "5000",
      shown: "`1000` with `ACCESS=public`, `5000` with `token`, else `0`",
    },
    what:
      "Requests a second of one address (an IPv6 /64; a /48 has eight times as many), at each edge, ten times that at once; more is 429. Each topic of a ping counts. 0: any number.",
    change: "If many clients share an address, or one address is to get less.",
    value: integer(0, 1_000_000),
  }),
  requestsPerClient: row({
    name: "REQUESTS_PER_CLIENT",
    default: "5000",
    what:
      "Requests a second by one token's client, all routes together, at each edge, ten times that at once; more is 429. Each topic of a ping counts. 0: any number.",
    change: "If one client is to get less, or publishes more.",
    value: integer(0, 1_000_000),
  }),
  subscriptionsPerClient: row({
    name: "SUBSCRIPTIONS_PER_CLIENT",
    default: "100000",
    what:
      "Subscriptions that one token's client may have, live or waiting to be verified; one more is 429, a renewal always passes. 0: any number.",
    change: "To fit what your clients need.",
    value: integer(0, 1_000_000_000),
  }),
  topicsPerClient: row({
    name: "TOPICS_PER_CLIENT",
    default: "100000",
    what:
      "Topics that one token's client may have made, by register, content, ping or subscribe; one more is 429. 0: any number.",
    change: "To fit what your clients need.",
    value: integer(0, 1_000_000_000),
  }),
  verificationsPerHost: row({
    name: "VERIFICATIONS_PER_HOST",
    default: "1000",
    what:
      "Requests a minute of one requester, at each edge, whose verification a callback host has not confirmed; more is 429. All requesters together may have four times as many. 0: any number.",
    change: "If many subscribers share a callback host that is often away.",
    value: integer(0, 1_000_000),
  }),
  overloadAfterMs: row({
    name: "OVERLOAD_AFTER",
    default: "1s",
    what: "If the core takes longer to answer, the edge asks less of it at once, and answers the rest 503.",
    change: "If the log is slow by nature, as with brokers far away.",
    value: duration("50ms", "10s"),
  }),
  connections: row({
    name: "CONNECTIONS",
    default: "10000",
    what:
      "Connections that the edge holds at once, in fair shares: an address that is alone has at most half of them, and `TRUSTED_PROXIES` all.",
    change: "If you have more clients than that at once, and as many file descriptors.",
    value: integer(1, 1_000_000),
  }),
  headersMaxBytes: row({
    name: "HEADERS_MAX_BYTES",
    // 5 KiB of headers travel with a message (WIRE §3). The rest is for the URL, the token, and what proxies add.
    default: "32768",
    what: "Largest URL and headers of a request together; more is 431.",
    change: "If publishers send larger headers, or tokens are very long.",
    value: integer(32_768, 1_048_576, "bytes"),
  }),
  urlMaxBytes: row({
    name: "URL_MAX_BYTES",
    // Topic and callback of 2,048 bytes each, percent-encoded, and room for the rest.
    default: "16384",
    what: "Largest URL of a request, path and query; more is 414.",
    change: "Rarely: there is room for a topic and a callback of the greatest length.",
    value: integer(1_024, 1_048_576, "bytes"),
  }),
  headersTimeoutMs: row({
    name: "HEADERS_TIMEOUT",
    default: "10s",
    what: "How long a client may take to send a request's headers; longer is 408.",
    change: "For clients on very slow lines.",
    value: duration("100ms", "5m"),
  }),
  requestTimeoutMs: row({
    name: "REQUEST_TIMEOUT",
    default: "60s",
    what: "How long a client may take to send a whole request; longer is 408.",
    change: "For large bodies on slow lines.",
    value: duration("100ms", "1h"),
  }),
} as const;
