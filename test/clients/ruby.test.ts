// Ruby's own HTTP client and WEBrick as a reader and a publisher. Debian has no WebSub library for Ruby, so ruby_reader.rb is written with
// nothing but them.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { openTopicServer, type Topic, type TopicServer } from "../support/servers/topic-server.ts";
import { type Driver, startDriver } from "./driver.ts";
import { type HttpsHub, openHttpsHub } from "./https-hub.ts";
import { programMissing } from "./installed.ts";

const NAME = "Ruby net/http and WEBrick";
const bytesOf = (way: string) => Buffer.from(`${way}\r\nüñí\u0000\n`, "utf8");
const TYPE = "application/atom+xml; charset=utf-8";

const missing = await programMissing(
  "ruby with webrick",
  ["ruby", "-e", 'require "webrick"; require "openssl"'],
  "--no-install-recommends ruby ruby-webrick",
);
if (missing !== undefined) console.error(`\n!!! THE TEST OF ${NAME} IS SKIPPED: ${missing}\n`);

describe(`the third-party client ${NAME}`, { skip: missing ?? false, timeout: 60_000 }, () => {
  let [https, site, reader, topic]: [HttpsHub?, TopicServer?, Driver?, Topic?] = [];
  before(async () => {
    https = await openHttpsHub();
    site = await openTopicServer(https.hub.url);
    topic = site.topic({ path: "/topic/~a/%C3%BC" });
    reader = await startDriver("ruby", "ruby_reader.rb", { SSL_CERT_FILE: https.caFile });
  });
  after(async () => {
    await reader?.[Symbol.asyncDispose]();
    await site?.close();
    await https?.[Symbol.asyncDispose]();
  });

  let asked = 0;
  /** The hub's answer to a form that the reader sends in one of its ways. */
  async function ask(mode: "subscribe" | "unsubscribe" | "publish", how: string): Promise<unknown> {
    reader!.tell({ do: mode, how, topic: topic!.url, hub: https!.hub.url });
    const { status, text } = await reader!.happens("answered", asked++);
    return status === 202 || status === 204 ? status : `${String(status)}: ${String(text)}`;
  }

  /** The way of Ruby 3, which adds the type of a form, of Ruby 4, which sends none, and the one for forms. */
  const WAYS = ["post", "post of Ruby 4", "post_form"];

  it(`${NAME}: subscribe: the hub takes each way of sending a form`, async () => {
    for (const way of WAYS) assert.equal(await ask("subscribe", way), 202, way);
  });

  it(`${NAME}: verify: each request is verified at its callback, whose query is kept`, async () => {
    for (const nth of WAYS.keys()) {
      const { topic: verified, mode, feed } = await reader!.happens("verified", nth);
      assert.deepEqual([verified, mode, feed], [topic!.url, "subscribe", "ü"]);
    }
  });

  it(`${NAME}: publish: a ping is taken, however it is sent`, async () => {
    for (const [nth, way] of WAYS.entries()) {
      topic!.serve({ body: bytesOf(way), contentType: TYPE });
      assert.equal(await ask("publish", way), 204, way);
      await eventually(`the fetch after a ping by ${way}`, () => topic!.fetches.length === nth + 1);
    }
  });

  it(`${NAME}: deliver: OpenSSL finds each signature right, and the bytes and their type are the topic's`, async () => {
    for (const [nth, way] of WAYS.entries()) {
      const { method, type, body } = await reader!.happens("content", nth);
      assert.deepEqual([method, type, Buffer.from(String(body), "base64")], ["sha256", TYPE, bytesOf(way)]);
    }
    assert.deepEqual(reader!.events.filter(({ event }) => event === "forged"), []);
  });

  it(`${NAME}: unsubscribe: it confirms its end`, async () => {
    assert.equal(await ask("unsubscribe", "post"), 202);
    assert.equal((await reader!.happens("verified", WAYS.length))["mode"], "unsubscribe");
  });
});
