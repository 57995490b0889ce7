// WIRE §1: the forms of publishing, content and ping, and how each is answered.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { eventually } from "../support/eventually.ts";
import { answer } from "../support/servers/answers.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";
import { ping, post, postRaw, publish, published, subscribed } from "../support/hub/hub-client.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";
import { assertAccepted } from "./wire-endpoint.ts";

const FORM_TYPE = "application/x-www-form-urlencoded";
const MESSAGE_MAX_BYTES = 1_000_000;

export function wirePublishingRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const reader = async (topic: string) => {
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    return callback;
  };
  const queryOf = (topic: string) => `${hub.url}?${encodeForm({ "hub.mode": "publish", "hub.topic": topic })}`;

  wire(
    "WIRE §1 content in the query's form is 200 with the message id, and arrives with its bytes and type",
    async () => {
      const topic = rig.name();
      const callback = await reader(topic);
      const body = Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0x7b, 0x7d]);
      const reply = await publish(hub, topic, { body, contentType: 'Application/X-Odd; v="1" ;q' });
      assertAccepted(reply, 200);
      const [delivery] = await callback.delivered(1);
      assert.deepEqual(delivery?.body, body);
      assert.equal(delivery?.headers["content-type"], 'Application/X-Odd; v="1" ;q');
      assert.equal(delivery?.headers["webhook-id"], reply.headers["webhook-id"]);
    },
  );

  wire("WIRE §1 content without a type is application/octet-stream", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    await publish(hub, topic, { body: "x" });
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.headers["content-type"], "application/octet-stream");
  });

  wire("WIRE §1 content that is itself a form is the body's bytes, with and without Ballerina's header", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    const body = "hub.mode=subscribe&a=%41+b";
    assertAccepted(await publish(hub, topic, { body, contentType: FORM_TYPE }), 200);
    const ballerina = { "x-ballerina-publisher": "publish" };
    assertAccepted(await publish(hub, topic, { body, contentType: FORM_TYPE, headers: ballerina }), 200);
    const deliveries = await callback.delivered(2);
    assert.deepEqual(deliveries.map((delivery) => delivery.body.toString()), [body, body]);
    assert.equal(deliveries[0]?.headers["content-type"], FORM_TYPE);
  });

  const keyed = (topic: string, key: string, body: string) =>
    publish(hub, topic, { body, contentType: "text/plain", headers: { "idempotency-key": key } });

  wire("WIRE §1 the same Idempotency-Key and body is the same message, answered alike and delivered once", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    const replies = [];
    for (let n = 0; n < 3; n += 1) replies.push(await keyed(topic, "order-7", "seven"));
    for (const reply of replies) assertAccepted(reply, 200);
    assert.equal(new Set(replies.map(({ headers }) => headers["webhook-id"])).size, 1);
    assert.equal(await published(hub, topic, "after"), (await callback.delivered(2))[1]?.headers["webhook-id"]);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["seven", "after"]);
    assert.equal(callback.deliveries[0]?.headers["webhook-id"], replies[0]?.headers["webhook-id"]);
  });

  wire("WIRE §1 the same Idempotency-Key with another body is 422, and nothing of it arrives", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    assertAccepted(await keyed(topic, "order-8", "eight"), 200);
    const reply = await keyed(topic, "order-8", "other");
    assert.equal(reply.status, 422);
    assert.match(reply.text, /Idempotency-Key/);
    await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["eight"]);
  });

  wire("WIRE §1 another topic, or another key, or no key, is another message", async () => {
    const [one, two] = [rig.name(), rig.name()];
    const readers = [await reader(one), await reader(two)];
    for (const reply of [await keyed(one, "a", "x"), await keyed(one, "b", "x"), await keyed(two, "a", "x")]) {
      assertAccepted(reply, 200);
    }
    for (let n = 0; n < 2; n += 1) await published(hub, two, "x");
    await Promise.all(readers.map((callback) => callback.delivered(2)));
    await readers[1]?.delivered(3);
    await quiet(readers);
    assert.deepEqual(readers.map(({ deliveries }) => deliveries.length), [2, 3]);
  });

  wire("WIRE §1 an Idempotency-Key that is empty, too long or not visible ASCII is 400, except on a ping", async () => {
    for (const key of ["", "a b", "x".repeat(256)]) {
      const reply = await keyed(rig.name(), key, "x");
      assert.equal(reply.status, 400);
      assert.match(reply.text, /Idempotency-Key/);
    }
    assertAccepted(await keyed(rig.name(), "x".repeat(255), "x"), 200);
    const pinged = await post(hub, { "hub.mode": "publish", "hub.url": topics.topic().url }, {
      "idempotency-key": "a b",
    });
    assert.equal(pinged.status, 204);
  });

  wire("WIRE §1 a query publish with a type but no body is an empty message of that type", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    assertAccepted(await publish(hub, topic, { body: "", contentType: "application/json" }), 200);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.length, 0);
    assert.equal(delivery?.headers["content-type"], "application/json");
    assert.equal(delivery?.headers["content-length"], "0");
  });

  wire(
    "WIRE §1 a query publish without a body and type is a ping if the topic is a URL, else 400, and nothing arrives",
    async () => {
      const [topic, name] = [topics.topic(), rig.name()];
      const [ofTopic, ofName] = [await reader(topic.url), await reader(name)];
      topic.serve({ body: "fetched" });
      for (const headers of [undefined, { "content-type": FORM_TYPE }]) {
        const options = { method: "POST", ...(headers === undefined ? {} : { headers }) };
        const pinged = await call(queryOf(topic.url), options);
        assert.equal(pinged.status, 200, pinged.text);
        const refused = await call(queryOf(name), options);
        assert.equal(refused.status, 400, refused.text);
        assert.match(refused.text, /^hub\.topic .* nothing to fetch/);
      }
      const event = await call(queryOf(name), {
        body: "",
        headers: { "x-ballerina-publisher": "event", "content-type": FORM_TYPE },
      });
      assert.equal(event.status, 400, event.text);
      const [fetched] = await ofTopic.delivered(1);
      assert.equal(fetched?.body.toString(), "fetched");
      await published(hub, name, "content");
      await ofName.delivered(1);
      assert.deepEqual(bodies(ofName), ["content"]);
    },
  );

  wire("WIRE §1 Ballerina's event is a ping for a URL, 200, and other words of that header are 400", async () => {
    const topic = topics.topic();
    const callback = await reader(topic.url);
    topic.serve({ body: "fetched" });
    const event = await call(queryOf(topic.url), {
      body: "",
      headers: { "x-ballerina-publisher": "event", "content-type": FORM_TYPE },
    });
    assert.equal(event.status, 200, event.text);
    await callback.delivered(1);
    const other = await publish(hub, rig.name(), { body: "x", headers: { "x-ballerina-publisher": "other" } });
    assert.equal(other.status, 400);
  });

  wire("WIRE §1 a form ping of URLs is 204, other parameters ignored", async () => {
    const topic = topics.topic();
    const callback = await reader(topic.url);
    topic.serve({ body: "fetched" });
    const reply = await post(hub, { "hub.mode": "publish", "hub.topic": topic.url, "hub.content": "not this" });
    assert.equal(reply.status, 204);
    assert.equal(reply.body.length, 0);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), "fetched");
  });

  wire("WIRE §3 a ping whose topic answers 204 or an empty 200 delivers nothing", async () => {
    const topic = topics.topic();
    const callback = await reader(topic.url);
    for (const responder of [answer(204), answer(200, "", { "content-type": "text/plain" })]) {
      topic.respond(responder);
      const before = topic.fetches.length;
      assert.equal((await post(hub, { "hub.mode": "publish", "hub.url": topic.url })).status, 204);
      await eventually("a fetch", () => topic.fetches.length > before && topic.fetches.at(-1)?.endedAt);
    }
    await update(rig, topic, { body: "a document" });
    await callback.delivered(1);
    assert.deepEqual(bodies(callback), ["a document"]);
  });

  wire("WIRE §1 a form publish to a name with other parameters is content: the whole form, as it came", async () => {
    const topic = rig.name();
    const callback = await reader(topic);
    const body = `hub.mode=publish&hub.topic=${encodeURIComponent(topic)}&id=7&text=a+b%2c`;
    assertAccepted(await postRaw(hub, body, { "content-type": FORM_TYPE }), 200);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), body);
    assert.equal(delivery?.headers["content-type"], FORM_TYPE);
  });

  wire("WIRE §1 a form ping with a name for a URL is 400", async () => {
    const topic = rig.name();
    assert.equal((await post(hub, { "hub.mode": "publish", "hub.topic": topic })).status, 400);
    assert.equal((await post(hub, { "hub.mode": "publish", "hub.url": topic })).status, 400);
  });

  wire("WIRE §1 of a ping of good and bad URLs the good ones are fetched, and the 400 names the bad ones", async () => {
    const [one, other] = [topics.topic(), topics.topic()];
    const [ofOne, ofOther] = [await reader(one.url), await reader(other.url)];
    const name = rig.name();
    const all = [["hub.url", one.url], ["hub.url", name], ["hub.url", ""], ["hub.topic", other.url]] as const;
    const reply = await post(hub, [["hub.mode", "publish"], ...all]);
    assert.equal(reply.status, 400);
    assert.match(
      reply.text,
      /^Not pinged: hub\.url "[^"]+" \(must be [^)]+\), hub\.url "" \([^)]+\); all others were\.\n$/,
    );
    assert.ok(reply.text.includes(name));
    await Promise.all([ofOne.delivered(1), ofOther.delivered(1)]);
    const event = { "x-ballerina-publisher": "event" };
    one.serve({ body: "again" });
    assert.equal((await post(hub, [["hub.mode", "publish"], ...all.slice(0, 2)], event)).status, 400);
    assert.equal((await ofOne.delivered(2))[1]?.body.toString(), "again");
  });

  wire("WIRE §1 two spellings of one URL in a ping are one fetch", async () => {
    const topic = topics.topic({ path: "/spelled/a%2Fb" });
    const callback = await reader(topic.url);
    const otherwise = topic.url.replace("http:", "HTTP:").replace("spelled/a%2F", "sp%65lled/a%2f");
    assert.equal((await ping(hub, topic.url, otherwise, topic.url)).status, 204);
    await callback.delivered(1);
    await quiet([callback]);
    assert.equal(topic.fetches.length, 1);
  });

  wire("WIRE §1 a form without a Content-Type is a form; one that says that it is text is not", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const body = encodeForm({ "hub.callback": callback.url, "hub.topic": topic, "hub.mode": "subscribe" });
    assert.equal((await postRaw(hub, body, { "content-type": "text/plain" })).status, 400);
    for (const headers of [{}, { "content-type": "" }]) {
      assert.equal((await postRaw(hub, body, headers)).status, 202);
    }
    await callback.challenged(2);
    const content = await postRaw({ ...hub, url: queryOf(topic) }, "hub.mode=subscribe&hub.topic=x");
    assertAccepted(content, 200);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), "hub.mode=subscribe&hub.topic=x");
    assert.equal(delivery?.headers["content-type"], "application/octet-stream");
  });

  wire(
    "WIRE §1 what WordPress sends when a post appears is 204, and each of its ten URLs is fetched once",
    async () => {
      const sent = await readFile(new URL("../dialect/wordpress-ping.http", import.meta.url), "latin1");
      const [, head = "", form = ""] = /^(.*?\r\n\r\n)(.*)$/s.exec(sent)!;
      const body = form.replaceAll(encodeURIComponent("http://blog.example"), encodeURIComponent(topics.origin));
      const urls = [...body.matchAll(/hub\.url=([^&]+)/g)].map(([, url = ""]) => decodeURIComponent(url));
      assert.equal(urls.length, 10);
      const blog = topics.topic({ path: "/" });
      const readers = await Promise.all(urls.map((url) => reader(url)));
      const answered = await exchangeRaw(
        Number(new URL(hub.url).port),
        head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`)
          .replace("Host: hub.example", `Host: ${new URL(hub.url).host}`) + body,
        { untilClosed: true },
      );
      assert.equal(answered.status, 204, answered.body);
      await Promise.all(readers.map((callback) => callback.delivered(1)));
      await quiet(readers);
      assert.deepEqual(blog.fetches.map(({ url }) => `${topics.origin}${url}`).toSorted(), urls.toSorted());
    },
  );

  wire(
    "WIRE §1 an unknown mode, and a publish without a topic, are 400 with a sentence that names the parameter",
    async () => {
      for (const query of ["hub.mode=shout&hub.topic=x", "hub.mode=publish", "hub.mode=publish&hub.topic="]) {
        const reply = await call(`${hub.url}?${query}`, { body: "x", headers: { "content-type": "text/plain" } });
        assert.equal(reply.status, 400, query);
        assert.match(reply.text, query.startsWith("hub.mode=shout") ? /hub\.mode/ : /hub\.topic/);
      }
    },
  );

  wire(
    "WIRE §1 a body of the greatest size arrives whole, and one byte more is 413 with a sentence, as is a form above 64 KiB",
    async () => {
      const topic = rig.name();
      const callback = await reader(topic);
      const body = Buffer.alloc(MESSAGE_MAX_BYTES, "0123456789abcdef");
      assertAccepted(await publish(hub, topic, { body, contentType: "application/octet-stream" }), 200);
      const [delivery] = await callback.delivered(1);
      assert.ok(delivery?.body.equals(body), "the same megabyte");
      const reply = await publish(hub, topic, { body: Buffer.concat([body, Buffer.from("x")]) });
      assert.equal(reply.status, 413);
      assert.match(reply.text, /1[,_ ]?000[,_ ]?000/);
      const form = encodeForm({ "hub.mode": "publish", "hub.topic": topic, a: "x".repeat(65_536) });
      assert.equal((await call(hub.url, { body: form, headers: { "content-type": FORM_TYPE } })).status, 413);
      await quiet([callback]);
      assert.equal(callback.deliveries.length, 1);
    },
  );

  wire("WIRE §1 every subscriber of a topic gets every message once and in order", async () => {
    const topic = rig.name();
    const readers = await Promise.all(Array.from({ length: 5 }, () => reader(topic)));
    const ids: string[] = [];
    for (let n = 0; n < 40; n += 1) ids.push(await published(hub, topic, `message ${n}`));
    await Promise.all(readers.map((callback) => callback.delivered(40)));
    await quiet(readers);
    for (const { deliveries } of readers) {
      assert.deepEqual(deliveries.map(({ headers }) => headers["webhook-id"]), ids);
    }
  });

  wire(
    "WIRE §1 topics listed in COMPACT_JSON lose the whitespace outside strings, signed as delivered; others keep it",
    async () => {
      const required = await rig.variant();
      const [listed, other] = ["compact/events", rig.name()];
      const sent = '{ "a" : [ 1.50 , 1e3,\n\t10000000000000000000001 ],\r\n "b c" : " two  spaces \\" " , "a":null }';
      for (const topic of [listed, other]) {
        await post(required, { "hub.mode": "register", "hub.topic": topic });
        const callback = callbacks.callback();
        await subscribed(required, topic, callback, { "hub.secret": "s" });
        await publish(required, topic, { body: sent, contentType: "application/json" });
        const [delivery] = await callback.delivered(1);
        const expected = topic === listed
          ? '{"a":[1.50,1e3,10000000000000000000001],"b c":" two  spaces \\" ","a":null}'
          : sent;
        assert.equal(delivery?.body.toString(), expected);
      }
    },
  );

  wire(
    "WIRE §1 what is not one JSON text keeps its bytes under COMPACT_JSON too; a line break at the end of JSON goes",
    async () => {
      const required = await rig.variant();
      const topic = "compact/other/events";
      await post(required, { "hub.mode": "register", "hub.topic": topic });
      const callback = callbacks.callback();
      await subscribed(required, topic, callback);
      const lines = ['{"a": 1}\n{"a": 2}\n', "<a>\r\n</a>\n", '{"a": 1}\r\n'];
      for (const body of lines) await publish(required, topic, { body, contentType: "application/json" });
      await publish(required, topic, { body: "[ 1 ]", headers: { "content-encoding": "x-own" } });
      await callback.delivered(4);
      assert.deepEqual(bodies(callback), [lines[0], lines[1], '{"a":1}', "[ 1 ]"]);
    },
  );
}
