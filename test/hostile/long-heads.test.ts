// Whatever strangers send, a request to a callback has a head that common servers take (WIRE §3). A longer one would be answered 431 at
// every attempt: the lane would stand for ever.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { attemptHeaders } from "../../core/delivery/sending/headers.ts";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import { Addresses } from "../../core/delivery/lane/target.ts";
import { encodeCursor } from "../../core/messages/cursor-text.ts";
import { type Message, MESSAGE_HEADERS, toMessage } from "../../core/messages/message.ts";
import { keyedMessageIdOf, topicIdOf } from "../../core/state/ids.ts";
import { HubError } from "../../edge/answers/hub-error.ts";
import { parseQuery } from "../../edge/syntax/form.ts";
import { parseHubRequest } from "../../edge/syntax/hub-request.ts";
import { publisherHeaders } from "../../edge/syntax/request-headers.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { verificationUrl } from "../../shared/outbound/callback-query.ts";
import { USER_AGENT } from "../../shared/product.ts";
import { headerBytes, MESSAGE_HEAD_MAX_BYTES, topicBytes } from "../../shared/request-head.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { encodeForm } from "../support/form.ts";
import { RawServer, sendPost } from "../support/rigs/transport-rig.ts";

const guard = createOutboundGuard(["127.0.0.0/8"]);
const HUB = `https://hub.example.org/${"h".repeat(200)}/hub`;
const DAY = 1_800_000_000_000;
const outbound = createOutbound({ guard, userAgent: USER_AGENT });
const transport = createUndiciTransport({
  connect: createGuardedConnector({ guard }),
  timeoutMs: 5_000,
  connectionsPerOrigin: 4,
});
const server = new RawServer();
before(() => server.open());
after(async () => {
  await outbound.close();
  await transport.close();
  await server.close();
});

const headOf = (request: string) => request.indexOf("\r\n\r\n") + 4;

/** Topics, callbacks (after the origin) and tokens, from short to longer than what is taken. */
const TOPICS = [
  "t",
  "x".repeat(2_048),
  "é".repeat(1_024),
  "é".repeat(600),
  `http://a.example/?${"&=".repeat(1_000)}`,
  '日 <>"'.repeat(200),
];
const PATHS = [
  "/",
  `/${"p".repeat(1_000)}`,
  `/${"p".repeat(2_000)}`,
  `/${"é".repeat(500)}`,
  `/?${"|".repeat(1_500)}`,
  `/${"ü".repeat(900)}`,
];
const TOKENS = [undefined, "t", "t".repeat(2_048), "&".repeat(1_000), "é".repeat(1_024)];

function parsed(parameters: Readonly<Record<string, string>>) {
  try {
    return parseHubRequest({
      query: parseQuery(""),
      contentType: "application/x-www-form-urlencoded",
      publisher: null,
      body: Buffer.from(encodeForm(parameters)),
    }, { leaseDefaultMs: 1, leaseMinMs: 1, leaseMaxMs: 3e11, guard });
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "invalid_request");
    return error.message;
  }
}

/** A message with as much of its own as a publish may have. */
function longestMessage(topic: string): Message {
  const room = MESSAGE_HEAD_MAX_BYTES - topicBytes(topic) - headerBytes("content-type", "a/b") -
    headerBytes("ce-x", "");
  const headers = new Headers({ "ce-x": "x".repeat(room) });
  const kept = publisherHeaders({ topic, contentType: "a/b", headers });
  assert.throws(
    () => publisherHeaders({ topic, contentType: "a/bc", headers }),
    (error) => error instanceof HubError && /take 5121/.test(error.message),
  );
  const id = topicIdOf(topic);
  return toMessage({
    partition: 15,
    offset: 2 ** 50,
    key: id,
    time: DAY,
    value: Buffer.alloc(20_000_000),
    headers: {
      [MESSAGE_HEADERS.id]: keyedMessageIdOf("c", id, "k"),
      [MESSAGE_HEADERS.contentType]: "a/b",
      [MESSAGE_HEADERS.topic]: topic,
      [MESSAGE_HEADERS.traceparent]: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      [MESSAGE_HEADERS.extra]: JSON.stringify(kept),
    },
  });
}

/** The head of a delivery as the transport writes it. */
async function deliveryHead(topic: string, callback: string): Promise<number> {
  const message = longestMessage(topic);
  const addresses = new Addresses({ hubUrl: HUB, random: Math.random });
  const address = addresses.of({ recipient: { topic, callback, secret: "s" }, address: undefined });
  const target = { ...address, recipient: { topic, callback }, address, signer: undefined, signature: undefined };
  const headers = attemptHeaders(target, message, {
    userAgent: USER_AGENT,
    algorithm: "sha512",
    signing: { hub: "s".repeat(199), standard: "s".repeat(199), encoding: "utf8" },
    now: DAY,
  });
  // The length is that of a large body, which does not go over the wire here.
  await sendPost(transport, callback, { headers, body: Buffer.from("12345678") });
  return headOf(server.requests.at(-1)!) + String(message.body.length).length - 1;
}

describe("WIRE §2 §3 the head of a request to a callback", { timeout: 60_000 }, () => {
  it("has at most 8 KiB for every subscribe that is taken, and for the longest message; the rest is 400", async () => {
    let [taken, refused, longest] = [0, 0, 0];
    for (const topic of TOPICS) {
      for (const path of PATHS) {
        for (const token of TOKENS) {
          const callback = new URL(server.url).origin + path;
          const pair = { "hub.topic": topic, "hub.callback": callback, "hub.lease_seconds": "315360000" };
          const request = parsed({
            "hub.mode": "subscribe",
            ...pair,
            ...(token === undefined ? {} : { "hub.verify_token": token }),
          });
          if (typeof request === "string") {
            refused++;
            assert.match(request, /^hub\.callback/);
            continue;
          }
          taken++;
          assert.ok(request.kind === "subscribe");
          const intent = { ...request, mode: "subscribe" } as const;
          await outbound.call({
            path: "verification",
            method: "GET",
            url: verificationUrl(intent, "c".repeat(43)),
            deadlineMs: 5_000,
            maxBytes: 1_000,
          });
          const asked = headOf(server.requests.at(-1)!);
          const sent = token === undefined ? await deliveryHead(topic, callback) : 0;
          longest = Math.max(longest, asked, sent);
          assert.ok(asked <= 8_192 && sent <= 8_192, `${asked} ${sent} ${topic.slice(0, 9)} ${path.slice(0, 9)}`);
        }
      }
    }
    assert.ok(taken > 40 && refused > 40, `${taken} ${refused}`);
    assert.ok(longest > 7_800, `the bound is used: ${longest}`);
  });

  it("is taken by a server that takes 8 KiB and no more", async () => {
    const strict = createServer({ maxHeaderSize: 8_192 }, (_, reply) => void reply.writeHead(204).end());
    await new Promise<void>((resolve) => strict.listen(0, "127.0.0.1", resolve));
    const { port } = strict.address() as AddressInfo;
    try {
      const topic = "é".repeat(680);
      const callback = `http://127.0.0.1:${port}/${"p".repeat(2_000)}`;
      assert.ok(typeof parsed({ "hub.mode": "subscribe", "hub.topic": topic, "hub.callback": callback }) === "object");
      const message = longestMessage(topic);
      const addresses = new Addresses({ hubUrl: HUB, random: Math.random });
      const { link } = addresses.of({ recipient: { topic, callback }, address: undefined });
      const headers = ["content-type", message.contentType, "link", link, ...message.extra];
      assert.deepEqual(await sendPost(transport, callback, { headers }), { status: 204, retryAfter: undefined });
      const more = [...headers, "x-more", "x".repeat(2_000)];
      assert.deepEqual(await sendPost(transport, callback, { headers: more }), { status: 431, retryAfter: undefined });
    } finally {
      strict.closeAllConnections();
      strict.close();
    }
  });

  it("an unsubscribe is 400 only where its verify_token makes the request too long", () => {
    const pair = {
      "hub.mode": "unsubscribe",
      "hub.topic": "é".repeat(1_024),
      "hub.callback": `http://c.example/${"ü".repeat(900)}`,
    };
    assert.equal(typeof parsed(pair), "object");
    const short = { ...pair, "hub.callback": "http://c.example/" };
    assert.equal(typeof parsed(short), "object");
    assert.match(parsed({ ...short, "hub.verify_token": "é".repeat(1_024) }) as string, /too long together.*8192/);
    assert.equal(encodeCursor(topicIdOf("t"), { partition: 15, offset: 2 ** 50 }).length, 30);
  });
});
