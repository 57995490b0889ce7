// Writes the subscriptions that a core finds in its log when it starts, as the owners of its shards write them. The bench
// measures what they cost a core; a million requests and challenges would take hours.
import {
  createCipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
} from "node:crypto";
import {
  encodeRecord,
  SHARD_KEY,
  type ShardProgress,
  type SubscriptionRecord,
  type TopicRecord,
} from "../../core/state/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../core/state/ids.ts";
import type { Log, ShardRecord, ShardWriter } from "../../core/log/log.ts";
import type { SealingKey } from "../../shared/jwks.ts";
import { SEALING, sealingSubject } from "../../shared/sealed-secret.ts";

export interface FilledTopic {
  readonly topic: string;
  readonly callbacks: Iterable<string>;
}

const PER_COMMIT = 1_000;
const LEASE_MS = 10 * 86_400_000;
const LONG_AGO_MS = 3_600_000;

/** Writes topics and active subscriptions without a backlog into an empty log; their secrets are sealed to `key`. */
export async function fillState(log: Log, topics: Iterable<FilledTopic>, key: SealingKey): Promise<void> {
  const seal = createSeal(key);
  const shards = Array.from({ length: log.partitions("subscriptions") }, (_, shard) => shard);
  // One after the other: a broker that has just started takes long for the first one.
  const writers: ShardWriter[] = [];
  for (const shard of shards) writers.push(await log.openWriter(shard));
  const time = Date.now();
  // The state refers to this one event, so the next event has a later offset than any version.
  const first = { type: "register", id: operationId(), time, topic: "https://bench.test/first", end: 0 };
  for (const shard of shards) await log.append("events", { key: "first", value: encodeRecord(first) }, shard);
  const waiting: ShardRecord[][] = shards.map(() => []);
  const writing: Promise<void>[] = shards.map(() => Promise.resolve());
  const write = async (shard: number) => {
    await writing[shard];
    writing[shard] = writers[shard]!.commit(waiting[shard]!.splice(0));
  };
  const put = async (stream: "topics" | "subscriptions", key: string, record: object) => {
    const shard = log.partitionOf(stream, key);
    waiting[shard]!.push({ stream, key, value: encodeRecord(record) });
    if (waiting[shard]!.length >= PER_COMMIT) await write(shard);
  };
  for (const { topic, callbacks } of topics) {
    await put("topics", topicIdOf(topic), topicOf(topic, time));
    for (const callback of callbacks) {
      const id = subscriptionIdOf(topic, callback);
      await put("subscriptions", id, subscriptionOf({ topic, callback, time, secret: seal(id) }));
    }
  }
  const watermarks = await Promise.all(
    Array.from({ length: log.partitions("messages") }, (_, partition) => log.end("messages", partition)),
  );
  for (const shard of shards) {
    for (const stream of ["topics", "subscriptions", "cursors"] as const) {
      const state: ShardProgress = { events: 1, ...(stream === "cursors" ? { watermarks } : {}) };
      waiting[shard]!.push({ stream, key: SHARD_KEY, value: encodeRecord(state) });
    }
    await write(shard);
    await writing[shard];
    await writers[shard]!.close();
  }
}

function topicOf(topic: string, time: number): TopicRecord {
  return { topic, version: 0, start: 0, operations: [[operationId(), time]] };
}

/** The record that the fold makes of a verified subscribe. */
function subscriptionOf(
  { topic, callback, time, secret }: { topic: string; callback: string; time: number; secret: string },
): SubscriptionRecord {
  return {
    topic,
    callback,
    secret,
    phase: "active",
    version: 0,
    life: 0,
    start: 0,
    verified: 0,
    // The subscribes come from different seconds.
    expiresAt: time + Math.round(LEASE_MS * (0.1 + 0.9 * Math.random())),
    concurrency: 1,
    pending: [],
    // Long ago: a hub does not get a million within the two minutes for which it remembers recent operations.
    operations: [[operationId(), time - LONG_AGO_MS], [operationId(), time - LONG_AGO_MS]],
  };
}

function operationId(): string {
  return `op_${randomBytes(16).toString("base64url")}`;
}

/** Seals as edges do, but with one ephemeral key for all: a million of them take ten minutes. */
function createSeal({ kty, crv, x, kid }: SealingKey): (subscriptionId: string) => string {
  const ephemeral = generateKeyPairSync("x25519");
  const publicKey = createPublicKey({ key: { kty, crv, x }, format: "jwk" });
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const algorithm = Buffer.from(SEALING.enc);
  const key = createHash("sha256").update(uint32(1)).update(shared)
    .update(uint32(algorithm.length)).update(algorithm).update(uint32(0)).update(uint32(0)).update(uint32(256))
    .digest();
  const epk = { x: ephemeral.publicKey.export({ format: "jwk" }).x, crv: "X25519", kty: "OKP" };
  return (subscriptionId) => {
    const header = { ...SEALING, kid, sub: sealingSubject(subscriptionId), epk };
    const protectedHeader = Buffer.from(JSON.stringify(header)).toString("base64url");
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(protectedHeader));
    const secret = randomBytes(24).toString("base64url");
    const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
    const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url"));
    return `${protectedHeader}..${parts.join(".")}`;
  };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
