// No secret is stored in the clear; no secret, token, cookie or body is logged (ARCHITECTURE §5). Checked on both logs, at the
// tiers' lowest log level, over everything that can go right and wrong.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import { STREAMS } from "../../core/log/log.ts";
import { answer } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { type Certificates, openCertificates } from "../support/servers/certificates.ts";
import { call } from "../support/servers/http.ts";
import { post, postRaw, publish, subscribed } from "../support/hub/hub-client.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { type KafkaForTests, kafkaForTests } from "../support/kafka/kafka.ts";
import { subscriberSignature } from "../support/hub/missed-client.ts";
import { hubSignature } from "../support/signatures.ts";

const SECRET = "S3cret-of-a-subscriber";
const RENEWED = "S3cret-of-a-renewal";
const LONG = `S3cret-too-long-${"x".repeat(200)}`;
const TOKEN = "T0ken-of-somebody";
const COOKIE = "C00kie-of-somebody";
const BODY = "B0dy-of-a-message";
const VERIFY = "V3rify-token";

/** The forms in which a text may be stored: as it is, in both kinds of base64 at any alignment, and in hex. */
function shapesOf(text: string): string[] {
  const base64 = [0, 1, 2].flatMap((skip) => {
    // The first and last characters depend on the bytes beside them.
    const inner = Buffer.from(text).subarray(skip);
    const whole = inner.subarray(0, inner.length - inner.length % 3).toString("base64");
    return [whole, whole.replaceAll("+", "-").replaceAll("/", "_")];
  });
  return [text, encodeURIComponent(text), Buffer.from(text).toString("hex"), ...base64];
}

function assertNowhere(texts: readonly string[], where: string, bytes: Buffer): void {
  const content = bytes.toString("latin1");
  for (const text of texts) {
    for (const shape of shapesOf(text)) {
      const at = content.indexOf(shape);
      if (at >= 0) assert.fail(`${where} has "${text}": …${content.slice(Math.max(0, at - 80), at + 80)}…`);
    }
  }
}

async function filesIn(directory: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(path, await readFile(path));
  }
  return files;
}

/** Everything that a subscriber, a publisher and a stranger may do, well and badly. */
async function exercise(hub: OwnHub): Promise<void> {
  await using callbacks = await openCallbackServer();
  const headers = { authorization: `Bearer ${TOKEN}`, cookie: `Authorization=${COOKIE}` };
  const topic = "https://example.com/feed";
  const [good, refusing, failing] = [callbacks.callback(), callbacks.callback(), callbacks.callback()];
  refusing.onDelivery = answer(422);
  failing.onDelivery = answer(500);
  for (const callback of [good, refusing, failing]) {
    await subscribed(hub, topic, callback, { "hub.secret": SECRET, "hub.verify_token": VERIFY });
  }
  await publish(hub, topic, { body: BODY, contentType: "text/plain", headers });
  const [delivery] = await good.delivered(1);
  assert.equal(delivery!.headers["x-hub-signature"], hubSignature(SECRET, Buffer.from(BODY)));
  await subscribed(hub, topic, good, { "hub.secret": RENEWED });
  await publish(hub, topic, { body: BODY, contentType: "text/plain", headers });
  const [, second] = await good.delivered(2);
  assert.equal(second!.headers["x-hub-signature"], hubSignature(RENEWED, Buffer.from(BODY)));
  await refusing.delivered(2);
  await failing.delivered(2);
  // A subscribe that is refused, one that is not verified, and bodies that are not forms.
  const pair = { "hub.mode": "subscribe", "hub.topic": topic };
  const wrong = { ...pair, "hub.callback": good.url, "hub.secret": LONG };
  assert.equal((await post(hub, wrong, headers)).status, 400);
  const denying = callbacks.callback();
  denying.onChallenge = answer(404);
  await post(hub, { ...pair, "hub.callback": denying.url, "hub.secret": SECRET }, headers);
  await denying.challenged(1);
  const nowhere = { ...pair, "hub.callback": "http://127.0.0.1:1/", "hub.secret": SECRET };
  await post(hub, nowhere, headers);
  await postRaw(hub, `hub.secret=${SECRET}&hub.mode=%ff&${BODY}`, headers);
  await postRaw(hub, BODY, { ...headers, "content-type": "application/json" });
  await call(`${hub.base}/hub?hub.mode=publish&hub.topic=${topic}`, { headers, body: BODY.repeat(100_000) });
  // Reads by a signature, right and wrong, and by a token.
  for (const secret of [RENEWED, "wrong", SECRET]) {
    const target = `/messages?topic=${encodeURIComponent(topic)}&callback=${encodeURIComponent(good.url)}`;
    await call(`${hub.base}${target}`, { headers: { ...headers, ...subscriberSignature(secret, { target }) } });
  }
  // Past the core's door, and around it.
  await call(`${hub.coreUrl}/v1/operations`, { headers, body: JSON.stringify({ kind: "intent", secret: SECRET }) });
  await call(`${hub.coreUrl}/v1/session`, { method: "POST", headers });
}

for (const kind of ["the embedded log", "Kafka"] as const) {
  describe(`what must never be seen, on ${kind}`, { timeout: 120_000 }, () => {
    let kafka: KafkaForTests | undefined;
    before(async () => {
      if (kind === "Kafka") kafka = await kafkaForTests();
    });
    after(() => kafka?.close());

    it("a secret in what is stored; a secret, token, cookie or body in what is logged", async (context) => {
      if (kafka?.skip) return context.skip(kafka.skip);
      const prefix = kafka?.newPrefix();
      const brokers = kafka?.brokers ?? [];
      const onKafka = prefix === undefined
        ? {}
        : { TIDINGS_KAFKA_BROKERS: brokers.join(","), TIDINGS_KAFKA_PREFIX: prefix };
      const output: string[] = [];
      const settings = { TIDINGS_LOG_LEVEL: "trace", TIDINGS_MESSAGE_MAX_BYTES: "1000000", ...onKafka };
      const hub = await openOwnHub({ settings, onOutput: (text) => void output.push(text) });
      try {
        await exercise(hub);
        // Positions and ends are written too.
        await hub.kill("core");
        await hub.start("core");
        await hub.stop("edge");
        await hub.stop("core");
        const files = await filesIn(hub.dataDir);
        assert.ok(files.size >= 3, [...files.keys()].join(", "));
        for (const [path, bytes] of files) assertNowhere([SECRET, RENEWED, LONG, TOKEN, COOKIE, VERIFY], path, bytes);

        const log = Buffer.from(output.join(""));
        assert.match(log.toString(), /"level":"DEBUG"/i, "the most talkative level was on");
        const keys = [...files].filter(([path]) => path.endsWith(".json")).map(([, bytes]) => bytes.toString());
        const privateKeys = keys.flatMap((text) => [...text.matchAll(/"d": ?"([^"]+)"/g)].map(([, d]) => d!));
        assert.equal(privateKeys.length, 2);
        assertNowhere([SECRET, RENEWED, LONG, TOKEN, COOKIE, BODY, VERIFY, ...privateKeys], "the log output", log);
        if (prefix !== undefined) await assertNowhereOnKafka(brokers, prefix);
      } finally {
        await hub.close();
      }
    });
  });
}

/** Reads every record of every stream. */
async function assertNowhereOnKafka(brokers: readonly string[], prefix: string): Promise<void> {
  const options = { brokers, prefix, clientId: "dump", retentionMs: 7 * 86_400_000, maxMessageBytes: 1_000_000 };
  const log = await openKafkaLog(options);
  let dumped = 0;
  try {
    for (const stream of STREAMS) {
      for (let partition = 0; partition < log.partitions(stream); partition++) {
        const end = await log.end(stream, partition);
        for (let from = await log.start(stream, partition); from < end;) {
          const chunk = await log.read(stream, partition, from, { maxBytes: 8 * 1024 * 1024 });
          const records = chunk.records.map(({ key, value, headers }) => [key, value?.toString(), headers]);
          assertNowhere([SECRET, RENEWED, LONG, TOKEN, COOKIE, VERIFY], stream, Buffer.from(JSON.stringify(records)));
          dumped += records.length;
          from = chunk.next;
        }
      }
    }
  } finally {
    await log.close();
  }
  assert.ok(dumped > 10, `only ${dumped} records were read`);
}

describe("TLS in front of the edge and between the tiers", { timeout: 60_000 }, () => {
  let certificates: Certificates;
  before(async () => {
    certificates = await openCertificates();
  });
  after(() => certificates.close());

  it("is used everywhere, mutually where the core asks for it", async () => {
    const [core, edge] = [await certificates.issue("core"), await certificates.issue("edge")];
    const between = {
      TIDINGS_CORE_TLS_CERT: core.cert,
      TIDINGS_CORE_TLS_KEY: core.key,
      TIDINGS_CORE_CA: certificates.ca,
      TIDINGS_CORE_CLIENT_CA: certificates.ca,
    };
    const front = { TIDINGS_EDGE_TLS_CERT: edge.cert, TIDINGS_EDGE_TLS_KEY: edge.key };
    const hub = await openOwnHub({ tls: true, settings: { ...between, ...front } });
    try {
      assert.match(hub.base, /^https:/);
      const ca = await readFile(certificates.ca, "utf8");
      assert.equal(await statusOf(`${hub.base}/readyz`, { ca }), 200);
      await assert.rejects(statusOf(`${hub.base}/readyz`, {}), /certificate/);
      // The core refuses a client without a certificate, even for its health.
      await assert.rejects(statusOf(`${hub.coreUrl}/healthz`, { ca }));
      await assert.rejects(call(`${hub.base.replace("https:", "http:")}/readyz`));
      const register = { ca, method: "POST", body: "hub.mode=register&hub.topic=t" };
      assert.equal(await statusOf(hub.url, register), 200);
    } finally {
      await hub.close();
    }
  });
});

function statusOf(
  url: string,
  { body = "", ...options }: { ca?: string; method?: string; body?: string },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = body === "" ? {} : { "content-type": "application/x-www-form-urlencoded" };
    const request = httpsRequest(url, { agent: false, headers, ...options }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject).end(body);
  });
}
