// What both tiers and the client read: URLs, topics, times, and the answers of callbacks, topic servers and name servers.

import { PassThrough } from "node:stream";
import type { Socket } from "node:net";
import { describeDelivery, preview, printable } from "../../../client/description.ts";
import { createSignatureCheck } from "../../../client/signature.ts";
import { compactJson } from "../../../shared/compact-json.ts";
import { openFrame } from "../../../shared/content-frame.ts";
import { base64UrlOf, bytesOfBase64Url } from "../../../shared/encoding.ts";
import { appendQuery, parseHttpUrl } from "../../../shared/http-url.ts";
import { identityOf, identityOfPrefix } from "../../../shared/identity.ts";
import { parseIsoTime } from "../../../shared/iso-time.ts";
import { parseEdgeKeys, parseSealingKeys } from "../../../shared/jwks.ts";
import { readAnswerHead } from "../../../shared/outbound/answer-head.ts";
import { verificationUrl } from "../../../shared/outbound/callback-query.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { parserReason } from "../../../shared/outbound/parser-reason.ts";
import { socketReason } from "../../../shared/outbound/socket-reason.ts";
import { headerBytes, linkTarget } from "../../../shared/request-head.ts";
import { parseRetryAfter } from "../../../shared/retry-after.ts";
import { AnswerHeads } from "../../../shared/runtime/answer-heads.ts";
import { errorText } from "../../../shared/runtime/error-text.ts";
import { isAskable, readAnswer, writeQuestion } from "../../../shared/runtime/names/message.ts";
import { refuse } from "../../../shared/runtime/refusals.ts";
import { SEALED_SECRET } from "../../../shared/sealed-secret.ts";
import { readTicket } from "../../../shared/session-api.ts";
import { hostOf } from "../../../shared/shares/host-of.ts";
import { encodedKeyOf } from "../../../shared/standard-webhooks.ts";
import { topicProblem } from "../../../shared/topic.ts";
import { createIsListed } from "../../../shared/topic-patterns.ts";
import { parseTraceparent } from "../../../shared/trace.ts";
import { BARE, bytesOf, headersWith, type Input, input } from "./input.ts";

const GUARD = createOutboundGuard([]);
const URLS = [...BARE, ["http://", "/"], ["http://h.example/", ""], ["http://h.example/?", "#"], [
  "http://[",
  "]:80/",
]] as const;
const IN_A_URL = ["a", "a.", "%41", "\u00e9", "/", "@", "xn--", ":"] as const;
const QUESTION = writeQuestion(1, "a.example", 4);
/** The beginning of an answer that has many records. */
const ANSWER = (() => {
  const head = Buffer.from(QUESTION);
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(0xffff, 6);
  return head.toString("latin1");
})();
const listed = createIsListed(["a*a*a*a*b", "http://h/*aaaaab*b"]);
const check = createSignatureCheck("secret");

export const SHARED_INPUTS: readonly Input[] = [
  input("shared/http-url.ts", "a URL", (text) => appendQuery(parseHttpUrl(text).target, [["a", text]]), URLS, IN_A_URL),
  input("shared/identity.ts", "a topic's or callback's identity", identityOf, URLS, IN_A_URL),
  input("shared/identity.ts", "a prefix of topics in a scope", identityOfPrefix, URLS, IN_A_URL),
  input("shared/topic.ts", "a topic", topicProblem, URLS, IN_A_URL),
  input("shared/topic-patterns.ts", "a topic compared with patterns", listed, URLS, ["a", "ab", "aaaaa"]),
  input("shared/request-head.ts", "a link's target", (text) => headerBytes("link", linkTarget(text)), BARE, [
    "\u00e9",
    "%",
    "a",
  ]),
  input("shared/iso-time.ts", "a time", parseIsoTime, [...BARE, ["2026-01-01T00:00:00.", "Z"]], ["0", "a"]),
  input("shared/retry-after.ts", "Retry-After", (text) => parseRetryAfter(text, 0), [...BARE, ["Sun, ", ""]], [
    "0",
    " ",
    "a",
  ]),
  input("shared/trace.ts", "traceparent", parseTraceparent, [...BARE, ["00-", ""]], ["0", "a", "-"]),
  input("shared/compact-json.ts", "JSON of COMPACT_JSON", (text) => compactJson(bytesOf(text)), [...BARE, ["[", "1]"], [
    '["',
    '"]',
  ], ["[1", "]"]], [
    " ",
    "[",
    '"",',
    ",1",
    "\\u0041",
    '{"a":',
    "0",
  ]),
  input(
    "shared/content-frame.ts",
    "a frame of content",
    (text) => openFrame(Buffer.concat([Buffer.from([0, 0, 0x10, 0]), bytesOf(text)])),
    BARE,
    [
      "[",
      " ",
      '{"a":',
    ],
  ),
  input("shared/encoding.ts", "base64url", (text) => base64UrlOf(bytesOfBase64Url(text) ?? bytesOf(text)), [...BARE, [
    "",
    "==",
  ]], ["a", "=", "-"]),
  input(
    "shared/jwks.ts",
    "keys of a core",
    (text) => {
      parseSealingKeys({ keys: [{ kid: text, x: text }] });
      return parseEdgeKeys(text);
    },
    [...BARE, ['{"keys":[{"kid":"', '"}]}']],
    ["[", "a", '{"a":'],
  ),
  input("shared/sealed-secret.ts", "a sealed secret", (text) => SEALED_SECRET.test(text), [...BARE, [
    "a".repeat(80),
    "",
  ]], ["a", "."]),
  input("shared/session-api.ts", "a session's ticket", readTicket, [...BARE, [`${"a".repeat(22)}.`, ""]], [
    "0",
    "a",
    ".",
  ]),
  input("shared/standard-webhooks.ts", "a secret", encodedKeyOf, [...BARE, ["whsec_", "=="]], ["a", "="]),
  input("shared/shares/host-of.ts", "a host", hostOf, [...BARE, ["a.", ".com"]], ["a.", "a", ":", "::"]),
  input("shared/outbound/guard.ts", "a host that is called", (text) => GUARD.judgeUrl({ host: text, port: 80 }), [
    ...BARE,
    ["", ".localhost"],
  ], ["a.", ":", "1."]),
  input("shared/outbound/guard.ts", "an address of a name", (text) => GUARD.judgeAddress(text), [...BARE, ["::", ""]], [
    "0:",
    ":",
    "1.",
  ]),
  input(
    "shared/outbound/callback-query.ts",
    "a callback that is asked",
    (text) => {
      return verificationUrl({ mode: "subscribe", topic: "t", callback: text }, "c");
    },
    BARE,
    ["?", "\u00e9", "a"],
  ),
  input("shared/outbound/answer-head.ts", "the head of an answer", readAnswerHead, [
    ["HTTP/1.1 200 ", "\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\n", "\n\n"],
    ["HTTP/1.1 200 OK\r\nContent-Length: ", "x\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\na: ", "\n b\r\n\r\n"],
  ], ["a: b\r\n", " ", "\n ", "\r", ":", ",", "content-length: 1\n"]),
  input("shared/outbound/parser-reason.ts", "an error of the parser", (text) => parserReason({ message: text }), [
    ["Response does not match the HTTP/1.1 protocol (", ")"],
    ["Response does not match the HTTP/1.1 protocol (", ""],
  ], [")", "a", " "]),
  input("shared/outbound/socket-reason.ts", "an error of a socket", (text) => socketReason(new Error(text)), BARE, [
    "a",
    "1.",
    ":",
    "f",
  ]),
  input(
    "shared/runtime/answer-heads.ts",
    "the bytes of an answer",
    (text) => new AnswerHeads().take(Buffer.from(text, "latin1")),
    [
      ["", "HTTP/1.1 200 OK\r\n\r\n"],
      ["HTTP/1.1 200 OK\r\n", ""],
      ["HTTP/1.1 200 OK\r\na: ", "\r\n\r\n"],
    ],
    ["HTTP/1.1 103 \r\n\r\n", "HTTP/1.1 100 \r\n\r\n", "a", "\r\n", "\n "],
  ),
  input(
    "shared/runtime/error-text.ts",
    "what was thrown",
    (text) => errorText(Object.assign(new SyntaxError(text), { cause: new Error(text) })),
    BARE,
    [
      '"',
      "eyJ.",
      "token",
      "Bearer ",
      '" is not valid JSON',
    ],
  ),
  input(
    "shared/runtime/names/message.ts",
    "an answer of a name server",
    (text) => readAnswer(Buffer.from(text, "latin1"), QUESTION),
    [
      ...BARE,
      [ANSWER, ""],
    ],
    ["\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02\xc0\x0c", "\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04", "\x01a", "\0"],
  ),
  input("shared/runtime/names/message.ts", "a name to ask for", isAskable, BARE, ["a.", "a"]),
  input(
    "shared/runtime/refusals.ts",
    "bytes that are no request",
    (text) => {
      const socket = new PassThrough() as unknown as Socket;
      refuse(
        Object.assign(new Error(), { code: "HPE_INVALID_TRANSFER_ENCODING", rawPacket: bytesOf(text) }),
        socket,
        {},
      );
      socket.destroy();
    },
    [["POST / HTTP/1.1\r\nTransfer-Encoding: ", "x\r\n\r\n"], ["POST / HTTP/1.1\r\n", "\r\n\r\n"]],
    [
      " ",
      "\t",
      "a",
      "transfer-encoding: a\r\n",
      "content-length ",
    ],
  ),
  input(
    "client/description.ts",
    "a delivery in one line",
    (text) => {
      const checked = { hub: "good", webhook: "good", good: true } as const;
      preview(bytesOf(text));
      printable(text);
      return describeDelivery(
        { headers: headersWith(["webhook-id", text]), body: bytesOf(text), checked } as never,
        new Date(0),
      );
    },
    BARE,
    ["\u0080", "a"],
  ),
  input(
    "client/signature.ts",
    "a delivery's signatures",
    (text) => check(headersWith(["x-hub-signature", text]), new Uint8Array(), 0),
    [...BARE, ["sha256=", ""]],
    [
      "a",
      "0",
      " ",
    ],
  ),
];
