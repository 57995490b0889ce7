// The unmodified WebSub publisher library of Debian's php-pubsubhubbub-publisher. It takes nothing but 204.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freePort } from "../support/free-port.ts";
import { subscribed } from "../support/hub/hub-client.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { type Callback, type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import { openTopicServer, type Topic, type TopicServer } from "../support/servers/topic-server.ts";
import { type Driver, startDriver } from "./driver.ts";
import { programMissing } from "./installed.ts";

const NAME = "PHP publisher of Debian";
const BYTES = Buffer.from("line one\r\nüñí\u0000\n", "utf8");

const missing = await programMissing(
  "php with Pubsubhubbub/Publisher",
  ["php", "-r", 'require "Pubsubhubbub/Publisher/autoload.php"; curl_version();'],
  "--no-install-recommends php-cli php-pubsubhubbub-publisher",
);
if (missing !== undefined) console.error(`\n!!! THE TEST OF ${NAME} IS SKIPPED: ${missing}\n`);

describe(`the third-party client ${NAME}`, { skip: missing ?? false, timeout: 60_000 }, () => {
  let [hub, site, readers, php]: [OwnHub?, TopicServer?, CallbackServer?, Driver?] = [];
  before(async () => {
    hub = await openOwnHub();
    site = await openTopicServer(hub.url);
    readers = await openCallbackServer();
    php = await startDriver("php", "php_publisher.php");
  });
  after(async () => {
    await php?.[Symbol.asyncDispose]();
    await readers?.close();
    await site?.close();
    await hub?.close();
  });

  let pings = 0;
  /** What the library makes of a ping: whether it was taken, and the text that it prints. */
  async function ping(topics: readonly string[], at = hub!.url): Promise<{ taken: unknown; answer: string }> {
    php!.tell({ hub: at, topics });
    const { taken, answer } = await php!.happens("pinged", pings++);
    return { taken, answer: String(answer) };
  }

  /** A topic of its own content, at a URL with this query, and its subscriber. */
  async function followed(query = ""): Promise<{ url: string; topic: Topic; reader: Callback }> {
    const topic = site!.topic();
    topic.serve({ body: `${topic.url}\n${BYTES.toString()}` });
    const reader = readers!.callback();
    await subscribed(hub!, `${topic.url}${query}`, reader);
    return { url: `${topic.url}${query}`, topic, reader };
  }

  async function arrived({ topic, reader }: Awaited<ReturnType<typeof followed>>): Promise<void> {
    const [delivery] = await reader.delivered(1);
    assert.equal(delivery!.body.toString(), `${topic.url}\n${BYTES.toString()}`);
    assert.deepEqual([topic.fetches.length, reader.deliveries.length], [1, 1]);
  }

  it(`${NAME}: publish: a ping of one topic is taken, and its bytes arrive`, async () => {
    const one = await followed("?a=1&b=ü+~;c");
    assert.deepEqual(await ping([one.url]), { taken: true, answer: "" });
    await arrived(one);
  });

  it(`${NAME}: publish: of a ping of many topics each is fetched once, and its bytes arrive`, async () => {
    const many = await Promise.all(Array.from({ length: 8 }, () => followed()));
    assert.deepEqual(await ping(many.map(({ url }) => url)), { taken: true, answer: "" });
    for (const one of many) await arrived(one);
  });

  it(`${NAME}: publish: it sees that one URL is bad, which the hub names; the good one arrives`, async () => {
    const good = await followed();
    const { taken, answer } = await ping(["http://[bad/", good.url]);
    assert.equal(taken, false);
    assert.match(answer, /http:\/\/\[bad\//);
    await arrived(good);
  });

  it(`${NAME}: publish: it sees that there is no hub at an address`, async () => {
    const { url } = site!.topic();
    assert.equal((await ping([url], `${hub!.base}/no-hub`)).taken, false);
    assert.equal((await ping([url], `http://127.0.0.1:${await freePort()}/hub`)).taken, false);
  });
});
