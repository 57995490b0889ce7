// The subscriptions of a shard in memory, by id and by topic. Most are quiet: nothing is pending, owed or lately done. A quiet one is
// kept as one short text and becomes a record again when it is asked for, so that a million of them fit (ARCHITECTURE §4).
import { topicIdOf } from "./ids.ts";
import { lengthen, shorten } from "../keys/short-sealed.ts";
import type { SubscriptionRecord } from "./records.ts";

/** The subscriptions to one topic. `topic` is spelled as the first of them spells it. */
interface Group {
  readonly number: number;
  readonly topicId: string;
  readonly topic: string;
  readonly ids: Set<string>;
}

const NONE: readonly never[] = [];

export class Subscriptions {
  readonly #kept = new Map<string, SubscriptionRecord | string>();
  readonly #byTopic = new Map<string, Group>();
  readonly #byNumber = new Map<number, Group>();
  /** Topic ids by the groups' topics, so that a topic is hashed once and not for each subscription. */
  readonly #topicIds = new Map<string, string>();
  #numbers = 0;

  get size(): number {
    return this.#kept.size;
  }
  keys(): MapIterator<string> {
    return this.#kept.keys();
  }
  get(id: string): SubscriptionRecord | undefined {
    const kept = this.#kept.get(id);
    return typeof kept === "string" ? this.#unpack(id, kept) : kept;
  }
  /** Ids of all subscriptions to a topic, of every phase. */
  to(topicId: string): Iterable<string> {
    return this.#byTopic.get(topicId)?.ids ?? NONE;
  }
  /** As the function `topicIdOf`, but returns the very same string for all subscriptions to a topic. */
  topicIdOf(topic: string): string {
    const known = this.#topicIds.get(topic);
    if (known !== undefined) return known;
    const topicId = topicIdOf(topic);
    return this.#byTopic.get(topicId)?.topicId ?? topicId;
  }

  set(id: string, record: SubscriptionRecord): void {
    const group = this.#groupOf(record.topic);
    group.ids.add(id);
    this.#kept.set(id, pack(id, record, group) ?? record);
  }

  delete(id: string): void {
    const record = this.get(id);
    if (record === undefined) return;
    this.#kept.delete(id);
    const group = this.#groupOf(record.topic);
    group.ids.delete(id);
    if (group.ids.size > 0) return;
    this.#byTopic.delete(group.topicId);
    this.#byNumber.delete(group.number);
    this.#topicIds.delete(group.topic);
  }

  #groupOf(topic: string): Group {
    const topicId = this.topicIdOf(topic);
    let group = this.#byTopic.get(topicId);
    if (group === undefined) {
      group = { number: this.#numbers++, topicId, topic, ids: new Set() };
      this.#byTopic.set(topicId, group);
      this.#byNumber.set(group.number, group);
      this.#topicIds.set(topic, topicId);
    }
    return group;
  }

  #unpack(id: string, packed: string): SubscriptionRecord {
    const [group, callback, phase, version, life, start, verified, expiresAt, concurrency, ...more] = JSON.parse(
      packed,
    ) as Packed;
    const [secret = null, client = null, endedAt = null, unsubscribedAt = null, ...rare] = more;
    const [signature = null, lastVerification = null, acks = null, requester = null] = rare;
    return {
      topic: this.#byNumber.get(group)!.topic,
      callback,
      phase,
      version,
      life,
      start,
      verified,
      expiresAt,
      concurrency,
      pending: NONE,
      operations: NONE,
      ...(secret === null ? {} : { secret: typeof secret === "string" ? secret : lengthen(secret[0], id) }),
      ...(client === null ? {} : { client }),
      ...(endedAt === null ? {} : { endedAt }),
      ...(unsubscribedAt === null ? {} : { unsubscribedAt }),
      ...(signature === null ? {} : { signature }),
      ...(lastVerification === null ? {} : { lastVerification }),
      ...(acks === null ? {} : { acks }),
      ...(requester === null ? {} : { requester }),
    };
  }
}

type Packed = [
  group: number,
  callback: string,
  phase: SubscriptionRecord["phase"],
  version: number,
  life: number,
  start: number,
  verified: number,
  expiresAt: number,
  concurrency: number,
  /** A shortened secret is in an array. */
  secret?: string | [short: string] | null,
  client?: NonNullable<SubscriptionRecord["client"]> | null,
  endedAt?: number | null,
  unsubscribedAt?: number | null,
  signature?: NonNullable<SubscriptionRecord["signature"]> | null,
  lastVerification?: NonNullable<SubscriptionRecord["lastVerification"]> | null,
  acks?: NonNullable<SubscriptionRecord["acks"]> | null,
  requester?: string | null,
];

/** The record as one text; undefined if the record is not quiet, or if it spells its topic otherwise than the group does. */
function pack(id: string, record: SubscriptionRecord, { number, topic: shared }: Group): string | undefined {
  const { topic, callback, phase, version, life, start, verified, expiresAt, concurrency, ...others } = record;
  const { pending, operations, secret, client = null, endedAt = null, unsubscribedAt = null, ...rare } = others;
  const { signature = null, lastVerification = null, acks = null, requester = null, ...more } = rare;
  const isQuiet = pending.length === 0 && operations.length === 0 && Object.keys(more).length === 0;
  // JSON has no Infinity.
  if (!isQuiet || topic !== shared || !Number.isFinite(expiresAt)) return undefined;
  const short = secret === undefined ? undefined : shorten(secret, id);
  const all: Packed = [
    number,
    callback,
    phase,
    version,
    life,
    start,
    verified,
    expiresAt,
    concurrency,
    short === undefined ? secret ?? null : [short],
    client,
    endedAt,
    unsubscribedAt,
    signature,
    lastVerification,
    acks,
    requester,
  ];
  while (all.at(-1) === null) all.pop();
  return JSON.stringify(all);
}
