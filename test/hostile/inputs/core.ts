// What a core reads of strangers' requests, as an edge passes them on, and of topic servers' documents.

import { advertisedLinks, linkHeader } from "../../../core/effects/advertised-links.ts";
import { parseContent } from "../../../core/face/content.ts";
import { verifyEdgeToken } from "../../../core/face/edge-token.ts";
import { decodeCursor } from "../../../core/messages/cursor-text.ts";
import { toMessage } from "../../../core/messages/message.ts";
import { parseFrom, parseLimit, parseRows } from "../../../core/missed/query.ts";
import { encodeMissed } from "../../../core/missed/topic-messages.ts";
import { parseCaller, parseTextSigner } from "../../../core/requests/caller.ts";
import { CURSOR, HUB_START, parsePosition } from "../../../core/requests/named-position.ts";
import { parseMove, parseOperation } from "../../../core/requests/parse-operation.ts";
import { wrongSignature, wrongTextSignature } from "../../../core/requests/subscriber-signature.ts";
import { frameContent } from "../../../shared/content-frame.ts";
import { BARE, bytesOf, type Input, input } from "./input.ts";

const TOPIC = { id: "t".repeat(43), partition: 0 };
const BASE = "http://t.example/feed";
const document = (contentType: string) => (text: string) =>
  linkHeader(advertisedLinks({ link: undefined, contentType, body: bytesOf(text), base: BASE }), {
    hubUrl: "http://hub.example/hub",
    topic: BASE,
    most: 4_096,
  });
const record = (headers: Record<string, string>, body: string) =>
  ({ key: TOPIC.id, partition: 0, offset: 0, time: 0, headers, value: bytesOf(body) }) as const;

export const CORE_INPUTS: readonly Input[] = [
  input(
    "core/effects/advertised-links.ts",
    "Link of a topic server",
    (text) => {
      return advertisedLinks({ link: text, contentType: "text/html", body: new Uint8Array(), base: BASE });
    },
    [...BARE, ["<a>", ""], ["<a>; rel=", "x"], ["<a>; rel", "="], ['<a>; rel="', ""], ["<//", '>; rel="hub"']],
    [
      " ",
      ";",
      ";a=",
      "; a",
      "<a>;",
      '="',
      "<",
      "\u00e9",
    ],
  ),
  ...["text/html", "application/atom+xml"].map((contentType) =>
    input("core/effects/advertised-links.ts", `a topic's document, ${contentType}`, document(contentType), [
      ...BARE,
      ["<link ", ">"],
      ["<link href=", " rel=hub>"],
      ['<link rel="hub" href="//', '">'],
      ['<link rel="hub self ', '" href="a">'],
    ], ["<link ", "<a:", "<!--", " href=", '="', " ", "a", "<link rel=hub href=a>", "\u00e9", "="])
  ),
  input(
    "core/face/content.ts",
    "content's head",
    (text) => {
      const head = { id: "i", madeAt: 0, topic: text, contentType: text, headers: { "ce-a": text }, traceparent: text };
      return parseContent(Buffer.from(frameContent(head, new Uint8Array())), 1);
    },
    BARE,
    ["a", "\u00e9"],
  ),
  input("core/face/edge-token.ts", "an edge's token", (text) => verifyEdgeToken(text, [], 0), [...BARE, [
    "Bearer ",
    "",
  ]], ["a", ".", " "]),
  input("core/messages/cursor-text.ts", "a cursor", (text) => decodeCursor(TOPIC.id, text), BARE, ["a", "="]),
  input(
    "core/messages/message.ts",
    "a record of the log",
    (text) => {
      return toMessage(
        record({ "content-type": text, headers: JSON.stringify({ link: text, "ce-a": text, [text]: "a" }) }, text),
      );
    },
    BARE,
    ["a", "\u00e9", "proxy-"],
  ),
  input(
    "core/missed/topic-messages.ts",
    "a body to be read",
    (text) => encodeMissed(toMessage(record({}, text))),
    BARE,
    ["\u00ff", '"', "a"],
  ),
  input(
    "core/missed/query.ts",
    "what is read of a subscription",
    (text) => {
      const query = new URLSearchParams({ after: text, since: text, lastEventId: text });
      try {
        parseRows(text, text);
      } catch {
        // It is refused; the next one is parsed all the same.
      }
      try {
        parseLimit(text);
      } catch {
        return parseFrom(query, TOPIC, 0);
      }
      return undefined;
    },
    BARE,
    ["0", "a"],
  ),
  input("core/requests/named-position.ts", "a position", (text) => parsePosition(HUB_START, text, TOPIC, 0), [...BARE, [
    "2026-01-01T00:00:00.",
    "Z",
  ]], [
    "0",
    "a",
  ]),
  input(
    "core/requests/named-position.ts",
    "a cursor to move to",
    (text) => parsePosition(CURSOR, text, TOPIC, 0),
    BARE,
    ["a"],
  ),
  input(
    "core/requests/parse-operation.ts",
    "an operation",
    (text) => {
      const pair = { id: "i", madeAt: 0, topic: text, callback: text };
      parseOperation({ kind: "ping", ...pair, topics: text.split(",", 1_000) });
      return parseOperation({
        kind: "intent",
        mode: "subscribe",
        ...pair,
        secret: text,
        start: text,
        verifyToken: text,
      });
    },
    [...BARE, ["http://", "/"]],
    ["a,", "a", "/", "\u00e9"],
  ),
  input(
    "core/requests/parse-operation.ts",
    "a move",
    (text) => {
      return parseMove({
        kind: "replay",
        id: "i",
        madeAt: 0,
        topic: text,
        callback: text,
        caller: { kind: "anyone" },
        key: text,
        letter: text,
      });
    },
    BARE,
    ["a"],
  ),
  input("core/requests/caller.ts", "who asks", (text) => parseCaller(text) ?? parseTextSigner(text), [...BARE, [
    '{"kind":"',
    '"}',
  ], [
    '{"kind":"text","text":"',
    '","signature":"s"}',
  ]], ["[", "a", '{"a":', "\\\\"]),
  input(
    "core/requests/subscriber-signature.ts",
    "a signature",
    (text) => {
      const request = { method: "GET", path: text, query: text, bodySha256: "0".repeat(64) };
      wrongTextSignature({ kind: "text", text, signature: `${"a".repeat(43)}=` }, "secret");
      wrongSignature({ ...request, timestamp: text, signature: text }, "secret", 0);
      return wrongSignature({ ...request, timestamp: "0", signature: `v1=${text}` }, "secret", 0);
    },
    [...BARE, ["a".repeat(43), ""], ["v1=", "="]],
    ["a", "0", "="],
  ),
];
