// What strangers send to an edge, and what an issuer answers to it.

import { quoted } from "../../../edge/answers/hub-error.ts";
import { checkAudience } from "../../../edge/auth/audience.ts";
import { accessTokenOf } from "../../../edge/auth/bearer-token.ts";
import { clientOf } from "../../../edge/auth/client.ts";
import { discoverJwksUrl } from "../../../edge/auth/issuer-metadata.ts";
import { isJwt } from "../../../edge/auth/jwt.ts";
import { POLICIES } from "../../../edge/auth/policies.ts";
import { signatureOf } from "../../../edge/auth/subscriber-signature.ts";
import { seenIn } from "../../../edge/auth/token-refusal.ts";
import { parseObject } from "../../../edge/core/core-answers.ts";
import { prefersHtml } from "../../../edge/hub/guide.ts";
import { clientAddress, namedAddress, parseNetworks } from "../../../edge/limits/client-address.ts";
import { parseFailedContent } from "../../../edge/syntax/failed-content.ts";
import { isForm, parseForm, parseQuery, rawQueryOf } from "../../../edge/syntax/form.ts";
import { longestBody, parseHubRequest } from "../../../edge/syntax/hub-request.ts";
import { parsePing } from "../../../edge/syntax/ping-request.ts";
import { idempotencyKey, publisherHeaders } from "../../../edge/syntax/request-headers.ts";
import { parseSubscribe } from "../../../edge/syntax/subscribe-request.ts";
import { parseSubscriptionPair } from "../../../edge/syntax/subscription-pair.ts";
import { parseTopic } from "../../../edge/syntax/topic.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { RULES } from "../../support/rigs/lease-rules.ts";
import { BARE, bytesOf, headersWith, type Input, input } from "./input.ts";

const RULES_AND_GUARD = { ...RULES, guard: createOutboundGuard([]) };
const TRUSTED = parseNetworks(["10.0.0.0/8", "fd00::/8"]);
const FORM = "application/x-www-form-urlencoded";
const hub = (body: string, query = "", contentType: string | null = FORM, publisher: string | null = null) =>
  parseHubRequest({ query: parseQuery(query), contentType, publisher, body: bytesOf(body) }, RULES_AND_GUARD);
/** A form whose field `text` is. */
const subscribing = (field: string) => (text: string) => {
  const fields = { "hub.topic": "t", "hub.callback": "http://c.example/", [field]: text };
  const query = Object.entries(fields).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return parseSubscribe("subscribe", { form: parseQuery(query), query: parseQuery("") }, RULES_AND_GUARD);
};
const client = (held: string) => {
  return {
    issuer: "i",
    claim: "sub",
    userId: held,
    roles: new Set<string>(),
    scopes: new Set(held.split(" ")),
    expiresAt: 0,
  } as const;
};
const claims = (text: string) => ({
  sub: text,
  preferred_username: text,
  iss: text,
  aud: [text],
  azp: text,
  scope: text,
  roles: [text],
});
const JWT = ["eyJhbGciOiJFUzI1NiJ9.", ".c2ln"] as const;

export const EDGE_INPUTS: readonly Input[] = [
  input("edge/syntax/form.ts", "a form", (text) => parseForm(bytesOf(text)), [...BARE, ["hub.mode=", "&hub.topic=t"]], [
    "\u00ff",
    "%c3\u00a9",
    "a=b&",
    "%41",
    "+",
  ]),
  input("edge/syntax/form.ts", "a query", parseQuery, [...BARE, ["a=", ""]], ["&", "%41", "a=b&", "="]),
  input("edge/syntax/form.ts", "a URL with a query", (text) => rawQueryOf(`http://h/${text}`), BARE, ["?", "#", "a"]),
  input("edge/syntax/form.ts", "a Content-Type", isForm, [...BARE, [FORM, ";"]], [" ", ";", "a"]),
  input("edge/syntax/hub-request.ts", "a request's form", (text) => hub(text), [
    ["hub.mode=publish&hub.topic=", ""],
    ["hub.mode=register&hub.topic=", "&a"],
    ["hub.mode=", ""],
    ["hub.mode=subscribe&hub.topic=t&hub.callback=http://c.example/", ""],
  ], ["a", "%C3%A9", "\u00ff", "/"]),
  input(
    "edge/syntax/hub-request.ts",
    "a request's query",
    (text) => {
      longestBody({ query: parseQuery(text), publisher: null }, 1);
      return hub("x", text, "text/plain");
    },
    [["hub.mode=publish&hub.topic=", ""], ["hub.mode=", ""]],
    ["a", "%41", "&", "a=b&"],
  ),
  input("edge/syntax/hub-request.ts", "x-ballerina-publisher", (text) => hub("", "", null, text), BARE, [" ", "a"]),
  input("edge/syntax/ping-request.ts", "a ping", (text) => parsePing(parseForm(bytesOf(text)), true), [
    ["hub.mode=publish&hub.url=http://t.example/", ""],
    ["hub.mode=publish", ""],
  ], ["&hub.url=http://t.example/a", "&hub.topic=", "a", "%41"]),
  ...[
    "hub.callback",
    "hub.lease_seconds",
    "hub.secret",
    "hub.verify_token",
    "hub.concurrency",
    "hub.signature",
    "hub.start",
  ]
    .map((field) =>
      input("edge/syntax/subscribe-request.ts", field, subscribing(field), [...BARE, ["http://", "/"], ["1", "x"], [
        "http://c.example/",
        "#",
      ]], [
        "0",
        "a.",
        "/",
        "%41",
      ])
    ),
  input("edge/syntax/subscription-pair.ts", "topic and callback", (text) => parseSubscriptionPair(parseQuery(text)), [
    ["topic=t&callback=", ""],
    ["topic=", "&callback=c"],
  ], ["a", "%41"]),
  input("edge/syntax/topic.ts", "a topic", (text) => parseTopic("topic", text), [...BARE, ["http://", "/"], [
    "http://t.example/",
    "",
  ]], [
    "a",
    "a.",
    "%41",
    ":",
  ]),
  input("edge/syntax/failed-content.ts", "failed content's query", parseFailedContent, [
    ["topic=", "&callback=aHR0cDovL2M&timestamp=2026-01-01T00:00:00Z"],
    ["topic=t&callback=", "&timestamp=t"],
    ["topic=t&callback=aHR0cDovL2M&timestamp=", "00:00"],
  ], ["a", "=", "%20", "+", "%2525"]),
  input(
    "edge/syntax/request-headers.ts",
    "ce-* and other headers",
    (text) =>
      publisherHeaders({ topic: "t", contentType: text, headers: headersWith(["ce-a", text], ["tracestate", text]) }),
    BARE,
    [
      "a",
      ",",
    ],
  ),
  input(
    "edge/syntax/request-headers.ts",
    "Idempotency-Key",
    (text) => idempotencyKey(headersWith(["idempotency-key", text])),
    BARE,
    ["a"],
  ),
  input("edge/auth/bearer-token.ts", "Authorization", (text) => accessTokenOf(headersWith(["authorization", text])), [
    ["x", "x"],
    ["Bearer ", "\u00e9"],
    ["Bearer a", ""],
    [...JWT],
  ], [" ", ",", "a.a.a,", "a", "="]),
  input(
    "edge/auth/bearer-token.ts",
    "Cookie",
    (text) => accessTokenOf(headersWith(["cookie", text], ["authorization", "Bearer a.b.c"])),
    [
      ["Authorization=", '"x"y'],
      ["Authorization=a", ";a"],
      ['Authorization="', '"'],
      ["a=", ""],
    ],
    [" ", '"', ";", "Authorization=", "a."],
  ),
  input("edge/auth/jwt.ts", "a token's form", isJwt, [...BARE, [...JWT], ["eyJ", ".a.b"]], [".", "a", "eyJ."]),
  input(
    "edge/auth/client.ts",
    "a token's claims",
    (text) => clientOf(claims(text), "i", { rolesClaim: "roles" }),
    BARE,
    ["a ", " ", "a"],
  ),
  input(
    "edge/auth/client.ts",
    "a token's scopes",
    (text) => clientOf({ sub: "s", scope: text, roles: text }, "i", { rolesClaim: "roles" }),
    BARE,
    [
      "a ",
      " ",
    ],
  ),
  input(
    "edge/auth/audience.ts",
    "a token's audience",
    (text) => checkAudience({ aud: text.split(" "), azp: text }, { audience: ["a"], matchAzp: true }, 0),
    BARE,
    [
      "b ",
      "b",
    ],
  ),
  input("edge/auth/token-refusal.ts", "claims to be shown", (text) => seenIn(claims(text)), BARE, ["\u00e9", "a"]),
  ...(["scopes", "wso2", "mosip"] as const).map((policy) =>
    input(
      "edge/auth/policies.ts",
      `what a client may, by ${policy}`,
      (text) => POLICIES[policy](client(text), "subscribe", text),
      [
        ...BARE,
        ["websub:subscribe:", ""],
      ],
      ["websub:subscribe:a* ", "a", "/", "A"],
    )
  ),
  input(
    "edge/auth/issuer-metadata.ts",
    "an issuer's metadata",
    (text) => {
      return discoverJwksUrl(
        "http://i.example",
        () => Promise.resolve({ issuer: "http://i.example", jwks_uri: text }) as never,
      );
    },
    [["http://", "/"], ["http://i.example/", " "]],
    ["a", "a.", "@"],
  ),
  input(
    "edge/auth/subscriber-signature.ts",
    "a signed request's target",
    (text) => {
      const headers = headersWith(["x-subscriber-timestamp", "1"], ["x-subscriber-signature", "v1="]);
      return signatureOf({ method: "GET", target: text, headers, body: new Uint8Array() });
    },
    [["/", ""], ["http://h", "/"]],
    ["?", "#", "a", "/"],
  ),
  input("edge/core/core-answers.ts", "an answer of the core", (text) => parseObject(bytesOf(text)), [
    ['{"a":"', '"}'],
    ...BARE,
  ], ['{"a":', "[", "\\\\"]),
  input("edge/hub/guide.ts", "Accept", prefersHtml, [...BARE, ["text/html", ""]], [
    ",",
    ";",
    ";q=0",
    "text/html,",
    " ",
  ]),
  input("edge/answers/hub-error.ts", "text to be quoted", quoted, BARE, ["\u00e9", '"']),
  input("edge/limits/client-address.ts", "X-Forwarded-For", (text) => clientAddress("10.0.0.1", text, TRUSTED), [
    ...BARE,
    ["", ", 10.0.0.1"],
    ["[", "]:1"],
  ], [
    "10.0.0.1, ",
    ",",
    "%",
    "1.",
    ":",
    "[",
  ]),
  input("edge/limits/client-address.ts", "ADDRESS_HEADER", (text) => namedAddress("10.0.0.1", text, TRUSTED), [
    ...BARE,
    ["[", "]:1"],
    ["::", "%0"],
  ], [
    "%",
    "1.",
    ":",
    "a:",
  ]),
];
