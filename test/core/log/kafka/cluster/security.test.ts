// A real broker that demands TLS, a certificate of ours, and SASL; and what the log says when its demands are not met.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import kafkajs from "kafkajs";
import { openConnection } from "../../../../../core/log/kafka/cluster/connection.ts";
import { metadata } from "../../../../../core/log/kafka/protocol/cluster-requests.ts";
import { openKafkaLog } from "../../../../../core/log/kafka/kafka-log.ts";
import { createOAuthTokens } from "../../../../../core/log/kafka/cluster/oauth-token.ts";
import type { KafkaSasl, KafkaSecurity, KafkaTls } from "../../../../../core/log/kafka/cluster/security.ts";
import { createHttpClient } from "../../../../../shared/runtime/http-client.ts";
import { type Log, LogError } from "../../../../../core/log/log.ts";
import {
  type Certificate,
  type Certificates,
  openCertificates,
  withChecksTurnedOff,
} from "../../../../support/servers/certificates.ts";
import { eventually, pause } from "../../../../support/eventually.ts";
import { freePort } from "../../../../support/free-port.ts";
import { runChild } from "../../../../support/hub/child.ts";
import { startKafka, whyNoKafka } from "../../../../support/kafka/kafka.ts";
import type { Kafka } from "../../../../support/kafka/node.ts";
import { openStallingProxy } from "../../../../support/kafka/stalling-proxy.ts";

const USER = { username: "alice", password: "alice-s3cret" };
const SCRAM: KafkaSasl = { mechanism: "scram-sha-512", ...USER };
const CORE = new URL("../../../../../core/main.ts", import.meta.url);
/** Much shorter than a test, so that one authentication is never enough. */
const REAUTHENTICATE_MS = 1_500;

const skip = await whyNoKafka();

describe("Kafka that demands SASL over TLS", { skip, timeout: 120_000 }, () => {
  let certificates: Certificates;
  let kafka: Kafka;
  let mine: Certificate;
  let tls: KafkaTls;
  before(async () => {
    certificates = await openCertificates();
    const broker = await certificates.issue("broker");
    mine = await certificates.issue("core");
    const ca = await readFile(certificates.ca, "utf8");
    const [key, cert] = [await readFile(broker.key, "utf8"), await readFile(broker.cert, "utf8")];
    tls = { ca, cert: await readFile(mine.cert, "utf8"), key: await readFile(mine.key, "utf8") };
    kafka = await startKafka({
      keystore: `${key}${cert}${ca}`,
      clientCa: ca,
      ...USER,
      reauthenticateMs: REAUTHENTICATE_MS,
    });
  });
  after(async () => {
    await kafka?.close();
    await certificates?.close();
  });

  const open = (security: KafkaSecurity, brokers: readonly string[] = [kafka.address]): Promise<Log> =>
    openKafkaLog({
      brokers,
      prefix: "secure",
      clientId: "test",
      retentionMs: 86_400_000,
      maxMessageBytes: 1_000_000,
      partitions: 1,
      security,
    });

  /** Appends, reads back, follows and commits, so that each kind of connection authenticates. */
  async function use(log: Log): Promise<void> {
    const { offset } = await log.append("messages", { key: "k", value: Buffer.from("v"), headers: {} });
    const chunk = await log.read("messages", 0, offset, { maxBytes: 1_000 });
    assert.equal(Buffer.from(chunk.records[0]!.value!).toString(), "v");
    const writer = await log.openWriter(0);
    await writer.commit([{ stream: "topics", key: "k", value: Buffer.from("v") }]);
    await writer.close();
  }

  for (const mechanism of ["scram-sha-256", "scram-sha-512", "plain"] as const) {
    it(`is used with ${mechanism}`, async () => {
      const log = await open({ tls, sasl: { mechanism, ...USER } });
      try {
        await use(log);
      } finally {
        await log.close();
      }
    });
  }

  describe("with oauthbearer", () => {
    const asked: string[] = [];
    const forms: string[] = [];
    const statuses: number[] = [];
    const http = createHttpClient({ connections: 1 });
    const part = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
    const issuer = createServer((request, response) => {
      asked.push(request.headers.authorization ?? "");
      request.on("data", (part: Buffer) => void forms.push(`${request.headers["content-type"]}: ${part.toString()}`));
      const now = Math.floor(Date.now() / 1_000);
      const token = `${part({ alg: "none" })}.${part({ sub: "alice", iat: now, exp: now + 600 })}.`;
      response.writeHead(statuses.shift() ?? 200, { "content-type": "application/json" });
      response.end(JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 600 }));
    });
    before(async () => {
      issuer.listen(0, "127.0.0.1");
      await once(issuer, "listening");
    });
    after(async () => {
      await http.close();
      issuer.close();
    });
    const openByToken = (...answers: readonly number[]) => {
      asked.length = forms.length = 0;
      statuses.splice(0, Infinity, ...answers);
      const client = { http, clientId: "alice", clientSecret: "p:ä", scope: undefined, clock: Date.now };
      const tokenUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/token`;
      return open({ tls, sasl: { mechanism: "oauthbearer", token: createOAuthTokens({ ...client, tokenUrl }) } });
    };

    it("tokens are obtained by client credentials and used until they grow old", async () => {
      const log = await openByToken();
      try {
        await use(log);
        assert.equal(asked.length, 1, "one token for all connections");
        assert.deepEqual(forms, ["application/x-www-form-urlencoded: grant_type=client_credentials"]);
        assert.equal(asked[0], `Basic ${Buffer.from("alice:p%3A%C3%A4").toString("base64")}`);
      } finally {
        await log.close();
      }
    });

    it("the log waits for an issuer that is away, but not if the issuer refuses", async () => {
      const log = await openByToken(503, 500);
      await log.close();
      assert.equal(asked.length, 3);
      for (const status of [401, 302]) {
        const message = new RegExp(`no token from .*${status}`);
        await assert.rejects(openByToken(status), { code: "misconfigured", message });
      }
    });
  });

  it("is authenticated to again before the session is over, on the same connection", async () => {
    const [host, port] = kafka.address.split(":");
    const ends: string[] = [];
    const connection = await openConnection({
      host: host!,
      port: Number(port),
      clientId: "test",
      security: { tls, sasl: SCRAM },
      connectTimeoutMs: 3_000,
      onEnd: (reason) => void ends.push(reason),
    });
    // After the session's end, a broker closes the connection at any other request.
    const until = performance.now() + 3 * REAUTHENTICATE_MS;
    while (performance.now() < until) {
      const all = Array.from({ length: 5 }, () => connection.send(metadata([]), 5_000));
      for (const { brokers } of await Promise.all(all)) assert.equal(brokers.length, 1);
      await pause(20);
    }
    assert.deepEqual(ends, []);
    connection.close();
  });

  it("serves writes and reads across such sessions, and nothing is lost or repeated", async () => {
    const log = await open({ tls, sasl: SCRAM });
    const seen: string[] = [];
    const from = await log.end("messages", 0);
    const follower = log.follow({ messages: [from] }, ({ records }) => {
      for (const { value } of records) seen.push(Buffer.from(value!).toString());
    });
    const writer = await log.openWriter(0);
    try {
      const sent: string[] = [];
      const until = performance.now() + 3 * REAUTHENTICATE_MS;
      while (performance.now() < until) {
        const values = Array.from({ length: 20 }, (_, number) => `${sent.length + number}`);
        sent.push(...values);
        await Promise.all(
          values.map((value) => log.append("messages", { key: "k", value: Buffer.from(value), headers: {} })),
        );
        await writer.commit([{ stream: "topics", key: "k", value: Buffer.from(values[0]!) }]);
      }
      await eventually("all of them", () => seen.length >= sent.length);
      assert.deepEqual(seen.map(Number).toSorted((a, b) => a - b), sent.map(Number));
    } finally {
      await writer.close();
      await follower.close();
      await log.close();
    }
  });

  const REFUSED: readonly [title: string, security: () => KafkaSecurity | Promise<KafkaSecurity>, message: RegExp][] = [
    ["a wrong password (SCRAM)", () => ({ tls, sasl: { ...SCRAM, password: "wr0ng" } as KafkaSasl }), /SCRAM.*fail/i],
    [
      "a wrong password (PLAIN)",
      () => ({ tls, sasl: { ...USER, mechanism: "plain", password: "wr0ng" } }),
      /PLAIN.*fail/i,
    ],
    ["an unknown user", () => ({ tls, sasl: { ...SCRAM, username: "bob" } as KafkaSasl }), /SCRAM.*fail/i],
    [
      "an authority that has not certified the broker",
      async () => {
        await using others = await openCertificates();
        return { tls: { ...tls, ca: await readFile(others.ca, "utf8") }, sasl: SCRAM };
      },
      /no TLS with it: .*certificate/i,
    ],
    ["no certificate of ours, where it wants one", () => ({ tls: { ca: tls.ca! }, sasl: SCRAM }), /certificate/i],
    ["plain text", () => ({ sasl: SCRAM }), /TIDINGS_KAFKA_TLS_CA/],
    ["no SASL", () => ({ tls }), /TIDINGS_KAFKA_SASL_MECHANISM/],
  ];
  for (const [title, security, message] of REFUSED) {
    it(`refuses ${title}, and the log says so at once in one sentence`, async () => {
      const refused = await security();
      // Certificates are checked whatever the environment says.
      await withChecksTurnedOff(() =>
        assert.rejects(open(refused), (error) => {
          assert.ok(error instanceof LogError);
          assert.equal(error.code, "misconfigured");
          assert.match(error.message, /^Cannot open the log on Kafka: 127\.0\.0\.1:\d+: [^\n]+$/);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /wr0ng|s3cret/);
          return true;
        })
      );
    });
  }

  it("refuses, and the log says so, also if the broker was away at first or another one is away", async () => {
    const [port, nobody] = [await freePort(), await freePort()];
    const wrong = { tls, sasl: { ...SCRAM, password: "wr0ng" } as KafkaSasl };
    const refused = assert.rejects(open(wrong, [`127.0.0.1:${port}`, `127.0.0.1:${nobody}`]), {
      code: "misconfigured",
      message: /SCRAM/,
    });
    await pause(1_000);
    await using _ = await openStallingProxy({ listen: port, to: Number(kafka.address.split(":")[1]) });
    await refused;
  });

  it("TLS to a broker without it is refused with a sentence, too", async () => {
    const plain = await startKafka();
    try {
      await assert.rejects(open({ tls }, [plain.address]), /Cannot open the log on Kafka: [^\n]+$/);
    } finally {
      await plain.close();
    }
  });

  const coreSettings = (prefix: string) => ({
    TIDINGS_KAFKA_BROKERS: kafka.address,
    TIDINGS_KAFKA_PREFIX: prefix,
    TIDINGS_KAFKA_TLS_CA: certificates.ca,
    TIDINGS_KAFKA_TLS_CERT: mine.cert,
    TIDINGS_KAFKA_TLS_KEY: mine.key,
    TIDINGS_KAFKA_SASL_MECHANISM: "scram-sha-512",
    TIDINGS_KAFKA_SASL_USERNAME: USER.username,
    TIDINGS_KAFKA_SASL_PASSWORD: USER.password,
    TIDINGS_CORE_LISTEN: "127.0.0.1:0",
    TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
    TIDINGS_DATA_DIR: `${certificates.directory}/${prefix}`,
    // On some runtimes the core first says, as information, what they lack.
    TIDINGS_LOG_LEVEL: "warning",
  });

  it("stops the core's start with that sentence and exit code 1; with the right settings it starts", async () => {
    const settings = coreSettings("secure-core");
    await using wrong = runChild(CORE, { settings: { ...settings, TIDINGS_KAFKA_SASL_PASSWORD: "wr0ng" } });
    assert.equal((await wrong.ended).code, 1);
    assert.match(wrong.stderr(), /^tidings core: Cannot open the log on Kafka: [^\n]*SCRAM[^\n]*\n$/);
    await using right = runChild(CORE, { settings });
    // As long as any tier under test may take.
    await right.says(/ready at (\S+)/, 30_000);
  });

  const { GROUP, TRANSACTIONAL_ID, TOPIC } = kafkajs.AclResourceTypes;
  const FORBIDDEN: readonly [what: string, resource: kafkajs.AclResourceTypes, name: string, sentence: RegExp][] = [
    ["joining the group", GROUP, "no-group.cores", /no-group\.cores.*authorization failed/i],
    [
      "a shard's transactions",
      TRANSACTIONAL_ID,
      "no-shards.shard-3",
      /shard-3.*authorization failed/i,
    ],
    ["a Kafka topic", TOPIC, "no-topics.messages", /no-topics\.messages.*TOPIC_AUTHORIZATION_FAILED/],
  ];
  for (const [what, resourceType, resourceName, sentence] of FORBIDDEN) {
    it(`stops the core's start with a sentence, without waiting, if it forbids the core ${what}`, async () => {
      const { ca, cert, key } = tls;
      const ssl = { ca: ca!, cert: cert!, key: key! };
      const sasl = { mechanism: "plain" as const, ...USER };
      const logLevel = kafkajs.logLevel.NOTHING;
      const reauthenticationThreshold = REAUTHENTICATE_MS / 2;
      const client = { brokers: [kafka.address], ssl, sasl, logLevel, reauthenticationThreshold };
      const admin = new kafkajs.Kafka(client).admin();
      await admin.connect();
      await admin.createAcls({
        acl: [{
          resourceType,
          resourceName,
          resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
          principal: `User:${USER.username}`,
          host: "*",
          operation: kafkajs.AclOperationTypes.ALL,
          permissionType: kafkajs.AclPermissionTypes.DENY,
        }],
      });
      await admin.disconnect();
      await using core = runChild(CORE, { settings: coreSettings(resourceName.split(".")[0]!) });
      assert.equal((await core.ended).code, 1);
      const last = core.stderr().trimEnd().split("\n").at(-1)!;
      assert.match(last, /^tidings core: /);
      assert.match(last, sentence);
    });
  }
});
