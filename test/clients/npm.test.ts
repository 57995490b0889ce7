// The unmodified npm client `pubsubhubbub`, a reader from before WebSub.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { ping } from "../support/hub/hub-client.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { type NpmClient, openNpmClient } from "../support/servers/npm-client.ts";
import { openTopicServer, type Topic, type TopicServer } from "../support/servers/topic-server.ts";

const NAME = "npm pubsubhubbub 1.0";
const BYTES = Buffer.from("line one\r\nüñí\u0000\n", "utf8");

describe("the npm client pubsubhubbub", { timeout: 60_000 }, () => {
  let [hub, site, client, topic]: [OwnHub?, TopicServer?, NpmClient?, Topic?] = [];
  before(async () => {
    hub = await openOwnHub();
    site = await openTopicServer(hub.url);
    client = await openNpmClient(await freePort());
    topic = site.topic();
  });
  after(async () => {
    await client?.close();
    await site?.close();
    await hub?.close();
  });

  it(`${NAME}: subscribe: the hub accepts its request`, async () => {
    await client!.subscribe(topic!.url, hub!.url);
  });

  it(`${NAME}: verify: it confirms the topic that it asked for`, async () => {
    await eventually("its confirmation", () => client!.confirmed[0] === topic!.url);
  });

  it(`${NAME}: deliver: it gets the topic's bytes`, async () => {
    topic!.serve({ body: BYTES });
    assert.equal((await ping(hub!, topic!.url)).status, 204);
    const { feed } = await eventually("its feed", () => client!.arrivals[0]);
    assert.deepEqual([feed.topic, Buffer.from(feed.feed)], [topic!.url, BYTES]);
  });

  it(`${NAME}: unsubscribe: it confirms its end`, async () => {
    await client!.unsubscribe(topic!.url, hub!.url);
    await eventually("its second confirmation", () => client!.confirmed[1] === topic!.url);
  });
});
