// WIRE §3: the exact headers of a delivery.

import assert from "node:assert/strict";
import { answer, echo, script } from "../support/servers/answers.ts";
import { ping, publish, published, subscribed } from "../support/hub/hub-client.ts";
import type { Recorded, Responder } from "../support/servers/recording-server.ts";
import { hubSignature, webhookSignature } from "../support/signatures.ts";
import { row } from "./rig.ts";
import type { Rig } from "./rig.ts";

function linesOf(delivery: Recorded | undefined, name: string): string[] {
  return (delivery?.headerLines ?? []).filter(([found]) => found.toLowerCase() === name).map(([, value]) => value);
}

export function wireDeliveryRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const reader = async (topic: string, secret?: string) => {
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback, secret === undefined ? {} : { "hub.secret": secret });
    return callback;
  };

  wire("WIRE §3 Link is one line with the hub and the topic as this subscriber named it", async () => {
    const url = `${topics.origin}/wire/%7Elink?a=%2F`;
    const callback = await reader(url);
    await published(hub, url.replace("%7E", "~"), "x");
    const [delivery] = await callback.delivered(1);
    assert.deepEqual(linesOf(delivery, "link"), [`<${hub.url}>; rel="hub", <${url}>; rel="self"`]);
  });

  wire("WIRE §3 what a URL cannot have is percent-encoded in Link", async () => {
    const topic = `${rig.name()} <é> "q" 100%`;
    const callback = await reader(topic);
    await published(hub, topic, "x");
    const [delivery] = await callback.delivered(1);
    const [link = ""] = linesOf(delivery, "link");
    const self = /, <([^>]*)>; rel="self"$/.exec(link)?.[1] ?? "";
    assert.match(self, /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/);
    assert.equal(decodeURIComponent(self), topic);
  });

  wire(
    "WIRE §3 after a ping Link has what the topic itself advertises, relative URLs resolved, http(s) only",
    async () => {
      const topic = topics.topic();
      const callback = await reader(topic.url);
      const advertised =
        `<https://other-hub.example/>; rel="hub", <javascript:alert(1)>; rel=hub, </canonical?x=1>; rel="self"`;
      topic.serve({ body: "x", headers: { link: advertised } });
      await ping(hub, topic.url);
      const [delivery] = await callback.delivered(1);
      const [link = "", ...more] = linesOf(delivery, "link");
      assert.deepEqual(more, []);
      assert.match(link, /<https:\/\/other-hub\.example\/>; rel="hub"/);
      assert.ok(link.endsWith(`<${topics.origin}/canonical?x=1>; rel="self"`), link);
      assert.doesNotMatch(link, /javascript/);
    },
  );

  wire("WIRE §3 §4 what a feed or a page says in itself counts where its Link header says nothing", async () => {
    const documents = [
      [
        "application/atom+xml",
        `<feed><link rel="self" href="/self?a=1&amp;b=2"/><link rel="hub" href="https://h.example/"/></feed>`,
      ],
      [
        "text/html",
        `<html><head><LINK href='https://h.example/' rel=hub><link rel="self" href="/self?a=1&amp;b=2"></head></html>`,
      ],
    ] as const;
    for (const [contentType, body] of documents) {
      const topic = topics.topic();
      const callback = await reader(topic.url);
      topic.respond(answer(200, body, { "content-type": contentType }));
      await ping(hub, topic.url);
      const [delivery] = await callback.delivered(1);
      const expected = `<https://h.example/>; rel="hub", <${topics.origin}/self?a=1&b=2>; rel="self"`;
      assert.deepEqual(linesOf(delivery, "link"), [expected], contentType);
    }
  });

  wire("WIRE §3 a topic that advertises nothing is delivered under the hub's and its own URL", async () => {
    const topic = topics.topic();
    const callback = await reader(topic.url);
    topic.respond(answer(200, "bare", { "content-type": "text/plain" }));
    await ping(hub, topic.url);
    const [delivery] = await callback.delivered(1);
    assert.deepEqual(linesOf(delivery, "link"), [`<${hub.url}>; rel="hub", <${topic.url}>; rel="self"`]);
  });

  for (const secret of ["a plain secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]) {
    wire(`WIRE §3 a delivery is signed both ways under ${secret.slice(0, 6)}…`, async () => {
      const topic = rig.name();
      const callback = await reader(topic, secret);
      const id = await published(hub, topic, "signed both ways");
      const [delivery] = await callback.delivered(1);
      assert.ok(delivery);
      assert.equal(delivery.headers["x-hub-signature"], hubSignature(secret, delivery.body));
      assert.equal(delivery.headers["webhook-id"], id);
      assert.match(String(delivery.headers["webhook-timestamp"]), /^[0-9]{10}$/);
      assert.ok(Math.abs(Number(delivery.headers["webhook-timestamp"]) * 1_000 - Date.now()) < 60_000);
      assert.equal(delivery.headers["webhook-signature"], webhookSignature(secret, delivery));
    });
  }

  wire(
    "WIRE §3 every attempt has the same id, body and X-Hub-Signature, and a timestamp and signature of its own",
    async () => {
      const topic = rig.name();
      const callback = await reader(topic, "attempts");
      // Retry-After is at most RETRY_MAX, 500 ms here: three such waits cross a second.
      const busy = answer(503, "", { "retry-after": "1" });
      callback.onDelivery = script(busy, busy, busy, answer(204));
      await published(hub, topic, "again");
      const attempts = await callback.delivered(4);
      const of = (name: string) => new Set(attempts.map(({ headers }) => String(headers[name])));
      assert.equal(of("webhook-id").size, 1);
      assert.equal(of("x-hub-signature").size, 1);
      assert.ok(of("webhook-timestamp").size > 1, "the timestamp is the attempt's");
      for (const attempt of attempts) {
        assert.equal(attempt.headers["webhook-signature"], webhookSignature("attempts", attempt));
      }
    },
  );

  wire("WIRE §3 X-Hub-Cursor is there, opaque, and differs for each message", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    await published(hub, topic, "one");
    await published(hub, topic, "two");
    const cursors = (await callback.delivered(2)).map(({ headers }) => String(headers["x-hub-cursor"]));
    assert.equal(new Set(cursors).size, 2);
    for (const cursor of cursors) assert.match(cursor, /^[\x21-\x7e]{1,200}$/);
  });

  wire("WIRE §3 the publisher's trace goes on in traceparent, and one begins where there is none", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    await publish(hub, topic, { body: "one", headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } });
    await publish(hub, topic, { body: "two", headers: { traceparent: "00-00000000000000000000000000000000-0-junk" } });
    await publish(hub, topic, { body: "three" });
    const deliveries = await callback.delivered(3);
    const parents = deliveries.map(({ headers }) => String(headers.traceparent));
    for (const parent of parents) assert.match(parent, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/);
    assert.equal(parents[0]?.split("-")[1], trace);
    assert.equal(new Set(parents.map((parent) => parent.split("-")[1])).size, 3);
  });

  wire(
    "WIRE §3 the length is always given, also 0; never chunked, no Expect; a User-Agent with a version",
    async () => {
      const topic = rig.name();
      const callback = await reader(topic);
      for (const body of ["", "x", Buffer.alloc(200_000, "y")]) {
        await publish(hub, topic, {
          body,
          contentType: "text/plain",
        });
      }
      const deliveries = await callback.delivered(3);
      assert.deepEqual(deliveries.map(({ headers }) => headers["content-length"]), ["0", "1", "200000"]);
      for (const { headers } of deliveries) {
        assert.equal(headers["transfer-encoding"], undefined);
        assert.equal(headers.expect, undefined);
        assert.match(headers["user-agent"] ?? "", /^[A-Za-z][\w-]*\/\d+\.\d+/);
      }
    },
  );

  wire("WIRE §2 §3 what a subscriber says before its answer (1xx) is passed over", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const early = (then: Responder): Responder => (request, response) => {
      response.writeContinue();
      response.writeProcessing();
      return then(request, response);
    };
    callback.onChallenge = early(echo());
    callback.onDelivery = early(answer(204));
    await subscribed(hub, topic, callback);
    await published(hub, topic, "one");
    await published(hub, topic, "two");
    const deliveries = await callback.delivered(2);
    assert.deepEqual(deliveries.map(({ body }) => body.toString()), ["one", "two"]);
  });

  wire("WIRE §3 of the publisher's own headers only the allow-list travels", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    const travels = {
      "content-language": "de, en",
      "content-encoding": "x-own",
      "ce-id": "42",
      "ce-type": "example.thing",
      "x-hub-messageid": "m-1",
      "tracestate": "vendor=1",
    };
    const stays = {
      "authorization": "Bearer nobody",
      "cookie": "a=b",
      "x-own": "1",
      "accept-language": "de",
      "te": "trailers",
    };
    await publish(hub, topic, { body: "x", contentType: "text/plain", headers: { ...travels, ...stays } });
    const [delivery] = await callback.delivered(1);
    for (const [name, value] of Object.entries(travels)) assert.equal(delivery?.headers[name], value, name);
    for (const name of Object.keys(stays)) assert.equal(delivery?.headers[name], undefined, name);
  });

  wire("WIRE §3 with the type and the topic they have 5 KiB together, whatever else the request has", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    const base = encodeURI(topic).length + 2 * 4 + "content-type".length + "text/plain".length + "ce-large".length;
    const send = (bytes: number) => {
      const headers = { "ce-large": "x".repeat(bytes - base), cookie: "z".repeat(4_000) };
      return publish(hub, topic, { body: "x", contentType: "text/plain", headers });
    };
    const most = await send(5_120);
    assert.equal(most.status, 200, most.text);
    const more = await send(5_121);
    assert.equal(more.status, 400, more.text);
    assert.match(more.text, /ce-large takes \d+ bytes of the headers of a delivery/);
    const type = await publish(hub, topic, { body: "x", contentType: `text/plain;x=${"y".repeat(17_000)}` });
    assert.equal(type.status, 400, type.text);
    assert.match(type.text, /^.*Content-Type takes \d+ bytes/);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.headers["ce-large"]?.length, 5_120 - base);
  });
}
