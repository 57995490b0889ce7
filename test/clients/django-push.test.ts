// The unmodified django-push of PyPI as a reader and a publisher. It checks sha1 only and drops other content in silence. It sends no
// parameters but its own, so its site asks for sha1 in the hub's URL.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { pythonMissing, pythonPackages } from "../support/python.ts";
import { openTopicServer, type Topic, type TopicServer } from "../support/servers/topic-server.ts";
import { type Driver, startPythonDriver } from "./driver.ts";
import { type HttpsHub, openHttpsHub } from "./https-hub.ts";

const NAME = "django-push 1.1";
/** Django 4 has dropped what django-push imports. */
const PACKAGES = ["django-push==1.1", "Django==3.2.25", "requests==2.34.2"];
const BYTES = Buffer.from("line one\r\nüñí\u0000\n", "utf8");

const missing = await pythonMissing();
if (missing !== undefined) console.error(`\n!!! THE TEST OF ${NAME} IS SKIPPED: ${missing}\n`);

describe(`the third-party client ${NAME}`, { skip: missing ?? false, timeout: 120_000 }, () => {
  let [https, site, reader, topic]: [HttpsHub?, TopicServer?, Driver?, Topic?] = [];
  before(async () => {
    const packages = await pythonPackages("django-push", PACKAGES);
    https = await openHttpsHub();
    site = await openTopicServer(https.hub.url);
    topic = site.topic();
    reader = await startPythonDriver("django_push_reader.py", packages, https.caFile);
  });
  after(async () => {
    await reader?.[Symbol.asyncDispose]();
    await site?.close();
    await https?.[Symbol.asyncDispose]();
  });

  const verified = async (): Promise<unknown> => {
    const before = reader!.events.filter(({ event }) => event === "state").length;
    reader!.tell({ do: "state", topic: topic!.url });
    return (await reader!.happens("state", before))["verified"];
  };

  it(`${NAME}: subscribe: the hub takes its request, which has a secret`, async () => {
    reader!.tell({ do: "subscribe", topic: topic!.url, hub: `${https!.hub.url}?hub.signature=sha1` });
    assert.equal((await reader!.happens("subscribed"))["secret"], true);
  });

  it(`${NAME}: verify: its subscription is verified`, async () => {
    await eventually("its verification", async () => await verified() === true);
  });

  it(`${NAME}: publish: its ping is taken`, async () => {
    topic!.serve({ body: BYTES });
    reader!.tell({ do: "publish", topic: topic!.url, hub: https!.hub.url });
    assert.equal((await reader!.happens("pinged"))["status"], 204);
  });

  it(`${NAME}: deliver: it takes the topic's bytes after it has checked their sha1 with its own secret`, async () => {
    const { topic: of, body } = await reader!.happens("content");
    assert.deepEqual([of, Buffer.from(String(body), "base64")], [topic!.url, BYTES]);
  });

  it(`${NAME}: unsubscribe: its subscription is gone`, async () => {
    reader!.tell({ do: "unsubscribe", topic: topic!.url });
    await reader!.happens("unsubscribed");
    await eventually("its end", async () => await verified() === null);
  });
});
