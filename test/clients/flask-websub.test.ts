// The unmodified Flask-WebSub of PyPI as a reader: it discovers the hub, and makes a secret for each subscription.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { encodeForm } from "../support/form.ts";
import { pythonMissing, pythonPackages } from "../support/python.ts";
import { call } from "../support/servers/http.ts";
import { openTopicServer, type Topic, type TopicServer } from "../support/servers/topic-server.ts";
import { type Driver, startPythonDriver } from "./driver.ts";
import { type HttpsHub, openHttpsHub } from "./https-hub.ts";

const NAME = "Flask-WebSub 0.4.1";
const PACKAGES = ["Flask-WebSub==0.4.1", "Flask==3.1.2", "Werkzeug==3.1.9", "requests==2.34.2"];
const BYTES = Buffer.from("line one\r\nüñí\u0000\n", "utf8");

const missing = await pythonMissing();
if (missing !== undefined) console.error(`\n!!! THE TEST OF ${NAME} IS SKIPPED: ${missing}\n`);

describe(`the third-party client ${NAME}`, { skip: missing ?? false, timeout: 120_000 }, () => {
  let [https, site, reader, topic]: [HttpsHub?, TopicServer?, Driver?, Topic?] = [];
  before(async () => {
    const packages = await pythonPackages("flask-websub", PACKAGES);
    https = await openHttpsHub();
    site = await openTopicServer(https.hub.url);
    topic = site.topic();
    reader = await startPythonDriver("flask_websub_reader.py", packages, https.caFile);
  });
  after(async () => {
    await reader?.[Symbol.asyncDispose]();
    await site?.close();
    await https?.[Symbol.asyncDispose]();
  });

  let callback = "";
  it(`${NAME}: subscribe: it discovers the hub, and the hub takes its request`, async () => {
    reader!.tell({ do: "subscribe", topic: topic!.url });
    callback = String((await reader!.happens("subscribed"))["callback"]);
  });

  it(`${NAME}: verify: it finds the request that it made`, async () => {
    const { topic: verified, mode } = await reader!.happens("verified");
    assert.deepEqual([verified, mode], [topic!.url, "subscribe"]);
  });

  it(`${NAME}: deliver: it takes the topic's bytes after it has checked their signature with its own secret`, async () => {
    topic!.serve({ body: BYTES });
    const form = encodeForm({ "hub.mode": "publish", "hub.url": topic!.url });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    assert.equal((await call(https!.hub.url, { method: "POST", body: form, headers, ca: https!.ca })).status, 204);
    const { topic: of, body } = await reader!.happens("content");
    assert.deepEqual([of, Buffer.from(String(body), "base64")], [topic!.url, BYTES]);
  });

  it(`${NAME}: unsubscribe: it confirms its end`, async () => {
    reader!.tell({ do: "unsubscribe", callback });
    assert.equal((await reader!.happens("verified", 1))["mode"], "unsubscribe");
  });
});
