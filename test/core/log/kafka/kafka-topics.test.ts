// The Kafka topics behind the streams, as another client (kafkajs's admin) sees and spoils them.
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import kafkajs, { type Admin } from "kafkajs";
import { openKafkaLog } from "../../../../core/log/kafka/kafka-log.ts";
import { type Log, LogError, STREAMS } from "../../../../core/log/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { kafkaForTests } from "../../../support/kafka/kafka.ts";
import { withAdmin } from "../../../support/kafka/topics.ts";

const DAY_MS = 86_400_000;
const kafka = await kafkaForTests();
after(() => kafka.close());

describe("the Kafka topics of the log", { skip: kafka.skip, timeout: 60_000 }, () => {
  const open = (prefix: string, options: { replication?: number; partitions?: number } = {}) =>
    openKafkaLog({
      brokers: kafka.brokers,
      prefix,
      retentionMs: 2 * DAY_MS,
      maxMessageBytes: 1_000_000,
      clientId: "tidings-test",
      replication: 1,
      partitions: 1,
      ...options,
    });

  it("A2.3 are made as they should be, with 16 partitions each", async () => {
    const prefix = kafka.newPrefix();
    const log = await openKafkaLog({
      brokers: kafka.brokers,
      prefix,
      retentionMs: 2 * DAY_MS,
      maxMessageBytes: 1_500_000,
      clientId: "tidings-test",
      replication: 1,
    });
    try {
      for (const stream of STREAMS) assert.equal(log.partitions(stream), 16);
    } finally {
      await log.close();
    }
    const common = { "max.message.bytes": "1631072", "message.timestamp.type": "LogAppendTime" };
    const kept = { "cleanup.policy": "delete", "retention.ms": "172800000", "segment.ms": "21600000" };
    const compacted = {
      "cleanup.policy": "compact",
      "segment.bytes": "67108864",
      "segment.ms": "3600000",
      "min.cleanable.dirty.ratio": "0.1",
      "delete.retention.ms": "604800000",
    };
    const expected: Record<string, Record<string, string>> = {
      messages: kept,
      events: kept,
      "dead-letters": kept,
      topics: compacted,
      subscriptions: compacted,
      cursors: compacted,
      blocks: { ...compacted, "cleanup.policy": "compact,delete", "retention.ms": "259200000" },
    };
    await withAdmin(kafka.brokers, async (admin) => {
      for (const stream of STREAMS) {
        const found = await settingsOf(admin, `${prefix}.${stream}`);
        for (const [name, value] of Object.entries({ ...common, ...expected[stream] })) {
          const sorted = (text?: string) => text?.split(",").toSorted().join();
          assert.equal(sorted(found.get(name)), sorted(value), `${stream}: ${name}`);
        }
      }
      const { topics } = await admin.fetchTopicMetadata({ topics: STREAMS.map((stream) => `${prefix}.${stream}`) });
      for (const { name, partitions } of topics) assert.equal(partitions.length, 16, name);
    });
  });

  it("A2.3 keep events for a day, however short the retention", async () => {
    const prefix = kafka.newPrefix();
    const log = await openKafkaLog({
      brokers: kafka.brokers,
      prefix,
      retentionMs: 4_000,
      maxMessageBytes: 1_000,
      clientId: "tidings-test",
      partitions: 1,
    });
    await log.close();
    await withAdmin(kafka.brokers, async (admin) => {
      assert.equal((await settingsOf(admin, `${prefix}.messages`)).get("retention.ms"), "4000");
      assert.equal((await settingsOf(admin, `${prefix}.messages`)).get("segment.ms"), "1000");
      assert.equal((await settingsOf(admin, `${prefix}.events`)).get("retention.ms"), String(DAY_MS));
    });
  });

  const wrong: readonly {
    readonly stream: string;
    readonly setting: string;
    readonly value: string;
    readonly sentence: RegExp;
  }[] = [
    { stream: "messages", setting: "retention.ms", value: "1000", sentence: /exactly 172800000, found 1000$/ },
    { stream: "messages", setting: "retention.bytes", value: "1000", sentence: /exactly -1, found 1000$/ },
    { stream: "messages", setting: "cleanup.policy", value: "compact", sentence: /exactly delete, found compact$/ },
    { stream: "events", setting: "message.timestamp.type", value: "CreateTime", sentence: /exactly LogAppendTime/ },
    {
      stream: "messages",
      setting: "max.message.bytes",
      value: "1000000",
      sentence: /at least 1131072, found 1000000$/,
    },
    { stream: "topics", setting: "cleanup.policy", value: "delete", sentence: /exactly compact, found delete$/ },
    {
      stream: "cursors",
      setting: "delete.retention.ms",
      value: "60000",
      sentence: /at least 604800000, found 60000$/,
    },
    {
      stream: "messages",
      setting: "compression.type",
      value: "gzip",
      sentence: /one of producer,uncompressed, found gzip$/,
    },
    {
      stream: "messages",
      setting: "unclean.leader.election.enable",
      value: "true",
      sentence: /exactly false, found true$/,
    },
  ];
  for (const { stream, setting, value, sentence } of wrong) {
    it(`A2.3 with ${setting}=${value} for ${stream} the log does not open`, async () => {
      const prefix = kafka.newPrefix();
      await (await open(prefix)).close();
      await withAdmin(kafka.brokers, async (admin) => {
        await set(admin, `${prefix}.${stream}`, setting, value);
      });
      const error = await refusal(open(prefix));
      assert.equal(error.code, "misconfigured");
      assert.ok(error.message.startsWith(`Cannot use the Kafka topic ${prefix}.${stream}: expected ${setting} to be `));
      assert.match(error.message, sentence);
    });
  }

  it("A2.2 a batch that is too large for the broker goes in parts, and a lone record is too_large", async () => {
    const prefix = kafka.newPrefix();
    const log = await open(prefix);
    try {
      await withAdmin(kafka.brokers, async (admin) => {
        for (const stream of ["messages", "topics"]) {
          await set(admin, `${prefix}.${stream}`, "max.message.bytes", "3000");
        }
      });
      const value = Buffer.alloc(1_000);
      const small = await Promise.all(
        Array.from({ length: 20 }, (_, index) => log.append("messages", { key: `small-${index}`, value })),
      );
      assert.deepEqual(small.map(({ offset }) => offset), small.map((_, index) => index));
      const large = { key: "large", value: Buffer.alloc(5_000) };
      const outcomes = await Promise.allSettled([
        log.append("messages", { key: "before", value }),
        log.append("messages", large),
        log.append("messages", { key: "after", value }),
      ]);
      assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
      assert.equal((outcomes[1] as PromiseRejectedResult).reason.code, "too_large");
      assert.equal(await log.end("messages", 0), 22);

      const writer = await log.openWriter(0);
      await assert.rejects(writer.commit([{ stream: "topics", ...large }]), { code: "too_large" });
      await writer.commit([{ stream: "topics", key: "small", value }]);
      await writer.close();
      const keys = await eventually("the commit", async () => {
        const { records } = await log.read("topics", 0, 0, { maxBytes: 100_000 });
        return records.some(({ key }) => key === "small") && records.map(({ key }) => key);
      });
      assert.deepEqual(keys, ["~owner", "small"]);
    } finally {
      await log.close();
    }
  });

  it("A2.3 with another number of partitions the log does not open", async () => {
    const prefix = kafka.newPrefix();
    await (await open(prefix, { partitions: 2 })).close();
    const { code, message } = await refusal(open(prefix, { partitions: 3 }));
    assert.equal(code, "misconfigured");
    assert.equal(
      message,
      `Cannot use the Kafka topic ${prefix}.messages: expected partitions to be exactly 3, found 2`,
    );
  });

  it("A2.1 with fewer brokers than replicas the log does not open", async () => {
    assert.match((await refusal(open(kafka.newPrefix(), { replication: 7 }))).message, /7 replicas/);
    const prefix = kafka.newPrefix();
    await (await open(prefix)).close();
    const { code, message } = await refusal(open(prefix, { replication: 2 }));
    assert.equal(code, "misconfigured");
    assert.match(message, /expected replicas to be at least 2, found 1$/);
  });

  it("A2.1 a refusal by the brokers stops the start with a sentence, without waiting", async () => {
    const { code, message } = await refusal(open("no name of Kafka's"));
    assert.equal(code, "misconfigured");
    assert.match(message, /^Cannot open the log on Kafka: Cannot (?:use|create) no name of Kafka's\.\S+: [^\n]+$/);
  });
});

/** Why a log did not open. A log that did is closed, or it would keep the process alive. */
async function refusal(opening: Promise<Log>): Promise<LogError> {
  const outcome = await opening.then((log) => log.close(), (error: unknown) => error);
  if (outcome instanceof LogError) return outcome;
  throw new Error("The log opened", { cause: outcome });
}

async function describeTopic(admin: Admin, name: string) {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }],
  });
  return resources[0]!.configEntries;
}

async function settingsOf(admin: Admin, name: string): Promise<Map<string, string>> {
  return new Map((await describeTopic(admin, name)).map((entry) => [entry.configName, entry.configValue]));
}

/** Changes one setting and waits until the broker has learned it from its controller. */
async function set(admin: Admin, topic: string, name: string, value: string): Promise<void> {
  const configEntries = await changed(admin, topic, { name, value });
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }],
  });
  await eventually("the change", async () => (await settingsOf(admin, topic)).get(name) === value);
}

/** The settings so far and one more, because a change replaces them all. */
async function changed(
  admin: Admin,
  topic: string,
  change: { name: string; value: string },
): Promise<{ name: string; value: string }[]> {
  const TOPIC_CONFIG = 1;
  const kept = (await describeTopic(admin, topic))
    .filter(({ configName, configSource }) => Number(configSource) === TOPIC_CONFIG && configName !== change.name)
    .map(({ configName, configValue }) => ({ name: configName, value: configValue }));
  return [...kept, change];
}
