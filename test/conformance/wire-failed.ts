// WIRE §5: MOSIP's own call for failed content, and the paths of subscribers under /hub.

import assert from "node:assert/strict";
import { answer } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import type { Responder } from "../support/servers/recording-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call, type Reply } from "../support/servers/http.ts";
import { post, publish, published, statusUntil, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import {
  askFailed,
  FAILED_PATH,
  failedQuery,
  type FailedQuestion,
  failedSignature,
} from "../support/hub/failed-client.ts";
import { allMissed, deadLettersOf, subscriberSignature } from "../support/hub/missed-client.ts";
import { row } from "./rig.ts";
import type { Rig } from "./rig.ts";

interface Row {
  readonly message: string;
  readonly timestamp: string;
}
const SECRET = { "hub.secret": "secret" };
const FORM = "application/x-www-form-urlencoded";

function rowsOf(reply: Reply): readonly Row[] {
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.headers["content-type"], "application/json");
  assert.equal(reply.headers["cache-control"], "no-store");
  const { failedcontents, ...rest } = JSON.parse(reply.text) as { failedcontents: readonly Row[] };
  assert.deepEqual(rest, {});
  assert.match(reply.text, /^[\x20-\x7e]*$/, "Spring before 5.2 reads JSON as ISO-8859-1");
  for (const one of failedcontents) {
    assert.deepEqual(Object.keys(one), ["message", "timestamp"]);
    assert.match(one.timestamp, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
  }
  return failedcontents;
}
const textsOf = (reply: Reply) => rowsOf(reply).map(({ message }) => message);
const numbered = (count: number) => Array.from({ length: count }, (_, n) => `message ${n}`);

export function failedRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");

  /** A subscriber whose deliveries fail, and the messages that it misses. */
  async function failing(
    bodies: readonly (string | Uint8Array)[],
    {
      at = hub,
      topic = rig.name(),
      more = SECRET as Readonly<Record<string, string>>,
      onDelivery = answer(503) as Responder,
    } = {},
  ): Promise<{ topic: string; callback: Callback; pair: { topic: string; callback: string } }> {
    const callback = callbacks.callback();
    callback.onDelivery = onDelivery;
    await subscribed(at, topic, callback, more);
    for (const body of bodies) {
      assert.equal((await publish(at, topic, { body, contentType: "text/plain" })).status, 200);
    }
    return { topic, callback, pair: { topic, callback: callback.url } };
  }

  wire("WIRE §5 failed content has the undelivered messages in order, 10 unless messageCount says more", async () => {
    const bodies = numbered(12);
    const { pair } = await failing(bodies);
    for (const path of [FAILED_PATH, `/hub${FAILED_PATH}`, `${FAILED_PATH}/`, `/hub${FAILED_PATH}/`]) {
      const ask = (more: Partial<FailedQuestion>, query?: string) =>
        askFailed(hub, { ...pair, ...more }, { path, ...(query === undefined ? {} : { query }) });
      assert.deepEqual(textsOf(await ask({})), bodies.slice(0, 10), "the old client sends neither");
      assert.deepEqual(textsOf(await ask({ pageindex: 0 })), bodies.slice(0, 10));
      assert.deepEqual(textsOf(await ask({ messageCount: 11 })), bodies.slice(0, 11));
      assert.deepEqual(textsOf(await ask({ pageindex: 3, messageCount: 4 })), bodies.slice(3, 7));
      assert.deepEqual(textsOf(await ask({ pageindex: 10 })), bodies.slice(10));
      assert.deepEqual(textsOf(await ask({ pageindex: 12, messageCount: 1_000 })), []);
      for (const bare of ["messageCount", "messageCount="]) {
        const question = { ...pair, pageindex: 2 };
        assert.deepEqual(textsOf(await ask(question, `${failedQuery(question)}&${bare}`)), bodies.slice(2), bare);
        assert.deepEqual(textsOf(await ask({}, `${failedQuery(pair)}&pageindex&${bare}`)), bodies.slice(0, 10), bare);
      }
    }
  });

  wire("WIRE §5 failed content begins at the timestamp, however its writer and a proxy wrote it", async () => {
    const { topic, callback, pair } = await failing(["one"]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const body of ["two", "three"]) await published(hub, topic, body);
    const [, two] = await allMissed(hub, topic, callback.url);
    const at = two!.publishedAt;
    const eastern = new Date(Date.parse(at) + 19_800_000).toISOString().slice(0, -1);
    const western = new Date(Date.parse(at) - 7_200_000).toISOString().slice(0, -1);
    const TIMES: readonly (readonly [timestamp: string, sent?: string])[] = [
      [at],
      [at.replace("Z", "00000Z")],
      [at.replace("Z", "999999Z")],
      [at, encodeURIComponent(at)],
      [`${eastern}+05:30`],
      [`${eastern}+0530`],
      [`${eastern}+05:30`, encodeURIComponent(`${eastern}+05:30`)],
      [`${eastern}+05:30`, `${eastern}%2005:30`],
      [`${eastern}000000+05:30`, `${eastern}000000%200530`.replace("0530", "05:30")],
      [`${western}-02:00`],
    ];
    for (const [timestamp, sent = timestamp] of TIMES) {
      const query = failedQuery({ ...pair, timestamp: sent });
      const reply = await askFailed(hub, { ...pair, timestamp }, { query });
      assert.deepEqual(textsOf(reply), ["two", "three"], `${timestamp} as ${sent}`);
    }
    for (const timestamp of ["1999-12-31T23:59:59Z", "2000-01-01T00:00:00.1Z", "2000-01-01T00:00+00:00"]) {
      assert.equal(rowsOf(await askFailed(hub, { ...pair, timestamp })).length, 3, timestamp);
    }
    const soon = new Date(Date.now() + 60_000).toISOString();
    assert.deepEqual(rowsOf(await askFailed(hub, { ...pair, timestamp: soon })), []);
  });

  wire(
    "WIRE §5 failed content: the callback in base64url or base64, padded or not; the topic as it was encoded",
    async () => {
      // Both alphabets differ for these bytes, and the base64 needs padding.
      const callback = callbacks.callback();
      const url = `${callback.url}?q=~~~???>>>%C3%BF~`;
      for (
        const topic of [
          `${rig.name()} a+b %?é`,
          `${rig.name()}+c`,
          `https://news.example/${rig.name().replaceAll(" ", "-")}?a=b%20c&d=%C3%A9+f`,
        ]
      ) {
        const pair = { topic, callback: url };
        callback.onDelivery = answer(503);
        await subscribed(hub, topic, Object.assign(Object.create(callback) as Callback, { url }), SECRET);
        await published(hub, topic, "mine");
        const standard = Buffer.from(url).toString("base64");
        assert.match(standard, /[+/].*=/);
        const encodings = [
          Buffer.from(url).toString("base64url"),
          standard,
          standard.replaceAll("+", "-").replaceAll("/", "_"),
          encodeURIComponent(standard),
          standard.replaceAll("+", "%20"),
          standard.replaceAll("=", ""),
        ];
        const topics = [
          encodeURIComponent(topic),
          // A form's, and what Spring makes of it: it leaves `+` as it is, and RestTemplate encodes once more.
          encodeURIComponent(topic).replaceAll("%20", "+"),
          encodeURIComponent(topic).replaceAll("%2B", "+"),
          encodeURIComponent(encodeURIComponent(topic)).replaceAll("%252B", "+"),
        ];
        for (const encoded of encodings) {
          const query = `topic=${topics[0]}&callback=${encoded}&timestamp=1970-01-01T00:00:00.000Z`;
          assert.deepEqual(textsOf(await askFailed(hub, pair, { query })), ["mine"], encoded);
        }
        for (const encoded of topics) {
          const query = `topic=${encoded}&callback=${encodings[0]}&timestamp=1970-01-01T00:00:00.000Z`;
          assert.deepEqual(textsOf(await askFailed(hub, pair, { query })), ["mine"], encoded);
        }
      }
    },
  );

  settings(
    "WIRE §5 failed content has dead letters and what is undelivered, in the log's order, each once",
    async () => {
      const onDelivery: Responder = (request, response) => {
        const [what = ""] = request.body.toString().split(" ");
        return answer({ bad: 422, good: 204 }[what] ?? 503)(request, response);
      };
      const { topic, callback, pair } = await failing(["bad 1", "good 1", "bad 2", "good 2", "down 1"], { onDelivery });
      await eventually("two dead letters", async () => {
        return (await deadLettersOf(hub, topic, callback.url)).deadLetters.length === 2;
      }, { deadlineMs: 20_000 });
      await statusUntil(hub, topic, callback.url, "the last message waits", ({ lag }) => lag === 1);
      for (const body of ["good 3", "bad 3"]) await published(hub, topic, body);
      const all = ["bad 1", "bad 2", "down 1", "good 3", "bad 3"];
      assert.deepEqual(textsOf(await askFailed(hub, pair)), all);
      for (const [n] of all.entries()) {
        assert.deepEqual(textsOf(await askFailed(hub, { ...pair, pageindex: n, messageCount: 1 })), [all[n]]);
        assert.deepEqual(
          textsOf(await askFailed(hub, { ...pair, pageindex: n, messageCount: 3 })),
          all.slice(n, n + 3),
        );
      }
      const rows = rowsOf(await askFailed(hub, pair));
      const missed = await allMissed(hub, topic, callback.url, { since: "1970-01-01T00:00:00Z" });
      const timeOf = (text: string) => missed.find(({ body }) => body === text)!.publishedAt;
      assert.deepEqual(rows.map(({ timestamp }) => timestamp), all.map(timeOf));
      // Reading has moved nothing; a letter before the position counts once when the subscription goes back to it.
      const resume = await call(`${hub.base}/hub/subscriptions/resume`, {
        body: encodeForm({ ...pair, from: missed[0]!.cursor }),
        headers: { "content-type": FORM },
      });
      assert.equal(resume.status, 200, resume.text);
      await statusUntil(hub, topic, callback.url, "back at the last message", ({ lag }) => lag === 3);
      assert.deepEqual(textsOf(await askFailed(hub, pair)), all);
      await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
      assert.deepEqual(textsOf(await askFailed(hub, pair)), all);
    },
  );

  settings("WIRE §5 failed content leaves out what was delivered before an earlier message", async () => {
    const onDelivery: Responder = (request, response) => {
      const [what = ""] = request.body.toString().split(" ");
      return answer({ bad: 422, good: 204 }[what] ?? 503)(request, response);
    };
    const more = { ...SECRET, "hub.concurrency": "8" };
    const bodies = ["down 1", "good 1", "bad 1", "good 2", "down 2"];
    const { topic, callback, pair } = await failing(bodies, { more, onDelivery });
    await eventually("a dead letter", async () => {
      return (await deadLettersOf(hub, topic, callback.url)).deadLetters.length === 1;
    }, { deadlineMs: 20_000 });
    assert.deepEqual(textsOf(await askFailed(hub, pair)), ["down 1", "bad 1", "down 2"]);
    assert.deepEqual(textsOf(await askFailed(hub, { ...pair, pageindex: 1, messageCount: 1 })), ["bad 1"]);
  });

  wire("WIRE §5 failed content is text: what is no UTF-8 comes as U+FFFD", async () => {
    const bodies = [
      Buffer.from('\ufeffé \0 \u2028 \r\n 😀 "quoted"'),
      Buffer.alloc(0),
      Buffer.from([0x61, 0xff, 0x00, 0xfe]),
      Buffer.from([0xed, 0xa0, 0x80]),
    ];
    const { pair } = await failing(bodies.map((body) => body));
    const texts = ['\ufeffé \0 \u2028 \r\n 😀 "quoted"', "", "a\ufffd\0\ufffd", "\ufffd\ufffd\ufffd"];
    assert.deepEqual(textsOf(await askFailed(hub, pair)), texts);
  });

  wire(
    "WIRE §5 a page of failed content has about 8 MiB at most; its reader goes on after the rows it has",
    async () => {
      // On the other hub: on Kafka the lag of a topic is an upper bound where so much stands in its partition, and other rows look at lags.
      const [at, topic] = [await rig.variant(), rig.name()];
      await post(at, { "hub.mode": "register", "hub.topic": topic });
      const body = "x".repeat(900_000);
      const { pair } = await failing(Array.from({ length: 12 }, (_, n) => `${n} ${body}`), { at, topic });
      const found: string[] = [];
      const sizes: number[] = [];
      for (;;) {
        const texts = textsOf(await askFailed(at, { ...pair, pageindex: found.length, messageCount: 1_000 }));
        if (texts.length === 0) break;
        sizes.push(texts.length);
        found.push(...texts.map((text) => text.split(" ", 1)[0]!));
      }
      assert.deepEqual(found, Array.from({ length: 12 }, (_, n) => String(n)));
      assert.deepEqual(sizes, [9, 3]);
    },
  );

  wire("WIRE §5 failed content: what is wrong with a parameter is said by its name, with 400", async () => {
    const { pair } = await failing(["mine"]);
    const good = failedQuery(pair);
    const without = (name: string) => good.split("&").filter((part) => !part.startsWith(`${name}=`)).join("&");
    const WRONG: readonly (readonly [query: string, says: RegExp])[] = [
      ...["-1", "1.5", "1e3", "x", "%2B1", "9".repeat(10), "%00", "0x1"].map((n) =>
        [`${good}&pageindex=${n}`, /^pageindex must be a whole number/] as const
      ),
      ...["0", "-1", "1001", "5000", "1.5", "1e2", "abc", "9".repeat(40)].map((n) =>
        [`${good}&messageCount=${n}`, /^messageCount must be a whole number from 1 to 1000/] as const
      ),
      ...[
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.0123456789Z",
        "2026-01-01T00:00:00%2005:3",
        "1700000000",
        "9999-01-01T00:00:00Z",
      ].map((time) => [`${without("timestamp")}&timestamp=${time}`, /^timestamp "/] as const),
      ...["", "&timestamp", "&timestamp="].map((sent) =>
        [without("timestamp") + sent, /^timestamp is missing/] as const
      ),
      ...["", "&callback", "&callback="].map((sent) => [without("callback") + sent, /^callback is missing/] as const),
      ...["http://c.example/", "a", "====", "a=b", "%ff", "_w", "aGV%0AsbG8", "%C3%A9"].map((sent) =>
        [`${without("callback")}&callback=${sent}`, /callback"? is not /] as const
      ),
      [`${without("callback")}&callback=${Buffer.alloc(2_049, "c").toString("base64url")}`, /^callback is longer/],
      [without("topic"), /^topic is missing/],
      [`${without("topic")}&topic=`, /^topic is empty/],
      [`${without("topic")}&topic=a%00b`, /^topic has a control/],
      [`${without("topic")}&topic=%25ff%ff`, /topic.* is not percent-encoded/],
      [`${without("topic")}&topic=${"t".repeat(2_049)}`, /^topic is longer/],
    ];
    for (const [query, says] of WRONG) {
      const reply = await askFailed(hub, pair, { query });
      assert.equal(reply.status, 400, `${query}: ${reply.text}`);
      assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
      assert.match(reply.text, says);
      assert.ok(reply.text.length < 300 && !/mine|secret| {4}at /.test(reply.text), reply.text);
    }
  });

  wire(
    "WIRE §5 failed content: an unknown pair, one without a secret and a wrong signature are the same 401",
    async () => {
      const { topic, callback, pair } = await failing(["mine"]);
      const { pair: open } = await failing(["mine"], { topic, more: {} });
      const { pair: pending } = { pair: { topic, callback: `${callbacks.callback().url}/never` } };
      const other = { topic: rig.name(), callback: callback.url };
      const right = failedSignature(pair, "secret");
      const wrong = [
        await askFailed(hub, pair, { secret: "Secret" }),
        await askFailed(hub, pair, { signature: right.replace(/^./, (one) => one === "A" ? "B" : "A") }),
        // Base64 has spare bits.
        await askFailed(hub, pair, {
          signature: right.replace(/.=$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}=`),
        }),
        await askFailed(hub, pair, { signature: right.slice(0, -1) }),
        await askFailed(hub, pair, { signature: `v1=${right}` }),
        await askFailed(hub, pair, { signature: "" }),
        // Signed, but asked for other rows.
        await askFailed(hub, pair, { query: `${failedQuery(pair)}&messageCount=5` }),
        await askFailed(hub, pair, { query: failedQuery({ ...pair, timestamp: "2000-01-01T00:00:00Z" }) }),
        await askFailed(hub, open, { secret: "" }),
        await askFailed(hub, open),
        await askFailed(hub, pending),
        await askFailed(hub, other),
        // The two signatures are not each other's.
        await askFailed(hub, pair, {
          signature: null,
          headers: subscriberSignature("secret", { target: `${FAILED_PATH}?${failedQuery(pair)}` }),
        }),
      ];
      for (const reply of wrong) {
        assert.equal(reply.status, 401, reply.text);
        assert.equal(reply.headers["www-authenticate"], "Bearer");
        assert.equal(reply.text, wrong[0]!.text);
      }
      const unsigned = await askFailed(hub, pair, { signature: null, headers: { authorization: "Bearer x" } });
      assert.deepEqual([unsigned.status, unsigned.text.startsWith("X-Subscriber-Signature is missing")], [401, true]);
      const misused = {
        "x-subscriber-signature": right,
        "x-subscriber-timestamp": String(Math.floor(Date.now() / 1e3)),
      };
      const messages = await call(`${hub.base}/messages?${encodeForm(pair)}`, { headers: misused });
      assert.equal(messages.status, 401, "the signature is good for failed content only");
    },
  );

  settings("WIRE §5 failed content of an expired subscription can be had, of an ended one it is 410", async () => {
    const callback = callbacks.callback();
    const topic = rig.name();
    const pair = { topic, callback: callback.url };
    await subscribed(hub, topic, callback, { ...SECRET, "hub.lease_seconds": "2" });
    await statusUntil(hub, topic, callback.url, "expired", ({ state }) => state === "expired");
    await published(hub, topic, "too late to push");
    assert.deepEqual(textsOf(await askFailed(hub, pair)), ["too late to push"]);
    const ended = callbacks.callback();
    await subscribed(hub, topic, ended, SECRET);
    await unsubscribed(hub, topic, ended);
    const reply = await askFailed(hub, { topic, callback: ended.url });
    assert.equal(reply.status, 410, reply.text);
    assert.match(reply.text, /ended \(unsubscribed\)/);
  });

  wire("WIRE §5 the paths of subscribers also answer under /hub: their methods, 405, a slash, signatures", async () => {
    const { topic, pair } = await failing(["mine"]);
    const query = encodeForm(pair);
    for (const path of ["/subscriptions", "/messages", "/dead-letters"]) {
      for (const slash of ["", "/"]) {
        const target = `/hub${path}${slash}?${query}`;
        assert.equal((await call(hub.base, { target })).status, 200, target);
        const signed = await call(hub.base, { target, headers: subscriberSignature("secret", { target }) });
        assert.equal(signed.status, 200, signed.text);
        // M has the path as it was received.
        const headers = subscriberSignature("secret", { target: `${path}${slash}?${query}` });
        assert.equal((await call(hub.base, { target, headers })).status, 401);
        const head = await call(hub.base, { method: "HEAD", target });
        assert.deepEqual([head.status, head.text], [200, ""]);
        const post = await call(hub.base, { method: "POST", target });
        assert.deepEqual([post.status, post.headers.allow], [405, "GET, HEAD"]);
      }
    }
    for (const path of ["/subscriptions/ack", "/subscriptions/resume", "/dead-letters/replay"]) {
      const options = { body: encodeForm({ ...pair, cursor: "x", from: "x" }), headers: { "content-type": FORM } };
      const reply = await call(hub.base, { ...options, target: `/hub${path}/` });
      assert.deepEqual([reply.status, /^(?:cursor|from|Idempotency-Key) /.test(reply.text)], [400, true], reply.text);
      const get = await call(hub.base, { target: `/hub${path}` });
      assert.deepEqual([get.status, get.headers.allow], [405, "POST"]);
    }
    const [mine] = await allMissed(hub, topic, pair.callback);
    const body = encodeForm({ ...pair, cursor: mine!.cursor });
    const target = "/hub/subscriptions/ack";
    const headers = { "content-type": FORM, ...subscriberSignature("secret", { method: "POST", target, body }) };
    const acked = await call(hub.base, { method: "POST", target, body, headers });
    assert.deepEqual([acked.status, (JSON.parse(acked.text) as { lag: number }).lag], [200, 0], acked.text);
    for (const path of [FAILED_PATH, `/hub${FAILED_PATH}`]) {
      const head = await askFailed(hub, pair, { method: "HEAD", path });
      assert.deepEqual([head.status, head.text, head.headers["content-type"]], [200, "", "application/json"]);
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
        const reply = await askFailed(hub, pair, { method, path });
        assert.deepEqual([reply.status, reply.headers.allow], [405, "GET, HEAD"], method);
      }
    }
    for (const path of ["/hub/metrics", "/hub/healthz", "/hub/readyz", "/hub/hub", "/websub/sync", "/hub/websub/hub"]) {
      assert.equal((await call(hub.base, { target: path })).status, 404, path);
    }
  });
}
