// CONFORMANCE §5: the publisher's ping, and how the hub fetches a topic.

import assert from "node:assert/strict";
import { answer, script } from "../support/servers/answers.ts";
import { eventually, never } from "../support/eventually.ts";
import { ping, post, subscribed } from "../support/hub/hub-client.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

export function publishingRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  for (const name of ["hub.url", "hub.topic"]) {
    row(rig, `H43 §6 a ping by ${name} has the topic fetched and delivered`, async () => {
      const topic = topics.topic();
      const callback = callbacks.callback();
      await subscribed(hub, topic.url, callback);
      topic.serve({ body: "new" });
      await post(hub, { "hub.mode": "publish", [name]: topic.url });
      const [delivery] = await callback.delivered(1);
      assert.equal(delivery?.body.toString(), "new");
    });
  }

  row(rig, "H44 §6 repeated names of either kind are one ping for all of them", async () => {
    const all = Array.from({ length: 4 }, () => ({ topic: topics.topic(), callback: callbacks.callback() }));
    await Promise.all(all.map(({ topic, callback }) => subscribed(hub, topic.url, callback)));
    all.forEach(({ topic }, i) => topic.serve({ body: `document ${i}` }));
    const [first, second, third, fourth] = all.map(({ topic }) => topic.url);
    await post(hub, [["hub.mode", "publish"], ["hub.url", first ?? ""], ["hub.url", second ?? ""]]);
    await post(hub, [["hub.mode", "publish"], ["hub.url", third ?? ""], ["hub.topic", fourth ?? ""]]);
    await Promise.all(all.map(({ callback }) => callback.delivered(1)));
    assert.deepEqual(all.flatMap(({ callback }) => bodies(callback)), all.map((_, i) => `document ${i}`));
  });

  row(rig, "H45 0.3 §7.1 an accepted ping is answered 204, also without a subscriber", async () => {
    const topic = topics.topic();
    assert.equal((await ping(hub, topic.url)).status, 204);
    if (hub.ours) await never("a fetch that nobody wants", () => topic.fetches.length, 300);
    await subscribed(hub, topic.url, callbacks.callback());
    assert.equal((await ping(hub, topic.url)).status, 204);
  });

  row(rig, "H45 0.3 §7.1 a bad ping is answered 4xx", async () => {
    const bad: (readonly (readonly [string, string])[])[] = [
      [["hub.mode", "publish"]],
      [["hub.mode", "publish"], ["hub.url", ""]],
      [["hub.mode", "publish"], ["hub.url", "not a url"]],
      [["hub.mode", "publish"], ["hub.url", "ftp://127.0.0.1/feed"]],
    ];
    for (const parameters of bad) {
      const { status, text } = await post(hub, parameters);
      assert.ok(status >= 400 && status < 500, `${JSON.stringify(parameters)}: ${status} ${text}`);
    }
  });

  for (const status of [301, 302, 307, 308]) {
    row(rig, `H46 0.3 §7.2 a ${status} from the topic is followed`, async () => {
      const [topic, moved] = [topics.topic(), topics.topic()];
      const callback = callbacks.callback();
      await subscribed(hub, topic.url, callback);
      moved.serve({ body: "found there", contentType: "text/x-moved" });
      topic.respond(answer(status, "moved", { location: moved.url }));
      await ping(hub, topic.url);
      const [delivery] = await callback.delivered(1);
      assert.equal(delivery?.body.toString(), "found there");
      assert.equal(delivery?.headers["content-type"], "text/x-moved");
    });
  }

  row(rig, "H47 §4.1 the topic is fetched with a neutral Accept", async () => {
    const topic = topics.topic();
    await subscribed(hub, topic.url, callbacks.callback());
    await update(rig, topic, { body: "new" });
    assert.equal(topic.fetches[0]?.method, "GET");
    assert.equal(topic.fetches[0]?.headers.accept, "*/*");
  });

  row(rig, "WIRE §3 an unchanged topic is asked conditionally and delivered once", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    topic.respond((request, response) => {
      const known = request.headers["if-none-match"] === '"v1"';
      response.writeHead(known ? 304 : 200, { etag: '"v1"', "content-type": "text/plain" });
      response.end(known ? undefined : "version 1");
    });
    await ping(hub, topic.url);
    await callback.delivered(1);
    await ping(hub, topic.url);
    await eventually("a second fetch", () => topic.fetches[1]?.endedAt);
    assert.equal(topic.fetches[1]?.status, 304);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["version 1"]);
  }, "wire");

  row(rig, "WIRE §3 the same bytes again are not delivered again", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    for (const body of ["one", "one", "two"]) await update(rig, topic, { body });
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one", "two"]);
  }, "wire");

  row(rig, "WIRE §3 a topic that cannot be fetched at first is tried again", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    topic.respond(script(answer(503), answer(200, "at last", { "content-type": "text/plain" })));
    await ping(hub, topic.url);
    const [delivery] = await callback.delivered(1, 30_000);
    assert.equal(delivery?.body.toString(), "at last");
  }, "wire");
}
