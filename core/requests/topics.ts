// Which topics exist, as a request needs to know it: never a wrong "no" (A3.11).
import { clientKeyOf } from "../../shared/client-key.ts";
import type { ClientIdentity } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent } from "../state/events.ts";
import { topicIdOf } from "../state/ids.ts";
import type { TopicRecord } from "../state/records.ts";
import { isUseOld, type UnusedAfter, unusedAfter, useIdOf } from "../state/topic-use.ts";
import { waitForAccepted } from "./accepted.ts";
import type { Quotas } from "./quotas.ts";
import { Refusal } from "./refusal.ts";

/** TOPIC_REGISTRATION. */
export type Registration = "automatic" | "required";

export interface Topic {
  readonly id: string;
  /** The topic's partition of `messages`. */
  readonly partition: number;
}

/** A topic under the name that a request has for it. */
export interface NamedTopic {
  readonly name: string;
  readonly topic: Topic;
}

/**
 * The client that a new topic belongs to. `makerOf` is asked only if the topic has to be made, and no quota is checked: the
 * subscribe that makes the topic has used it already.
 */
export type Maker =
  | { readonly client: ClientIdentity | undefined }
  | { readonly makerOf: () => Promise<ClientIdentity | undefined> };

export interface TopicsOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly quotas: Quotas;
  readonly retentionMs: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** "It exists" may be this old, ms (A3.11). */
const POSITIVE_MS = 1_000;
const MOST_REMEMBERED = 10_000;

export class Topics {
  readonly #options: TopicsOptions;
  readonly #after: UnusedAfter;
  /** Topics by name, so that a busy topic is hashed once. */
  readonly #topics = new Map<string, Topic>();
  /** When a topic was last known to exist, by its id. */
  readonly #existedAt = new Map<string, number>();
  readonly #making = new Map<string, Promise<void>>();

  constructor(options: TopicsOptions) {
    this.#options = options;
    this.#after = unusedAfter(options.retentionMs);
  }

  identify(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      const id = topicIdOf(name);
      remember(this.#topics, name, topic = { id, partition: this.#options.log.partitionOf("messages", id) });
    }
    return topic;
  }

  /** The record of a topic that has not ended. Before it says that there is none, it waits for what was just accepted. */
  async find(topic: Topic): Promise<TopicRecord | undefined> {
    return await this.live(topic) ?? await this.latest(topic);
  }

  /** As `find`, but always after what any core accepted before the call: for answers that a record a moment old would get wrong. */
  async latest(topic: Topic): Promise<TopicRecord | undefined> {
    await waitForAccepted(this.#options, "topics", this.#options.log.partitionOf("events", topic.id));
    return await this.live(topic);
  }

  /** As `find`, but as the replica has it now: it may be a moment old. */
  async live({ id }: Topic): Promise<TopicRecord | undefined> {
    const record = await this.#options.replica.topic(id);
    return record?.endedAt === undefined ? record : undefined;
  }

  /** As `find`, for many topics: the records of those that exist, by their ids. */
  async existing(topics: readonly Topic[]): Promise<ReadonlyMap<string, TopicRecord>> {
    const found = await this.#liveOf(topics);
    const missing = topics.filter(({ id }) => !found.has(id));
    if (missing.length === 0) return found;
    const shards = new Set(missing.map(({ id }) => this.#options.log.partitionOf("events", id)));
    await Promise.all([...shards].map((shard) => waitForAccepted(this.#options, "topics", shard)));
    return new Map([...found, ...await this.#liveOf(missing)]);
  }

  async #liveOf(topics: readonly Topic[]): Promise<Map<string, TopicRecord>> {
    const records = await this.#options.replica.topics(topics.map(({ id }) => id));
    return new Map([...records].filter(([, { endedAt }]) => endedAt === undefined));
  }

  /**
   * Refuses a publish or ping under TOPIC_REGISTRATION=required, if a topic is not registered.
   * @throws {Refusal} "not_found", "unavailable"
   */
  async refuseUnregistered(named: readonly NamedTopic[]): Promise<void> {
    const existing = await this.existing(named.map(({ topic }) => topic));
    const unknown = named.find(({ topic }) => !existing.has(topic.id));
    if (unknown === undefined) return;
    throw new Refusal("not_found", `hub.topic "${unknown.name}" is not registered; register it first`);
  }

  /** As `ensure`, for many topics; the operation of each is `operation`, a dot and its place among `named`. */
  async ensureAll(named: readonly NamedTopic[], operation: string, maker: Maker): Promise<void> {
    const unsure = [...named.entries()].filter(([, { topic }]) => !this.#existsForSure(topic));
    const existing = await this.existing(unsure.map(([, { topic }]) => topic));
    const time = this.#options.clock();
    const isSure = (id: string) => {
      const record = existing.get(id);
      return record !== undefined && !isUseOld(record, this.#after, time);
    };
    for (const id of existing.keys()) if (isSure(id)) remember(this.#existedAt, id, time);
    await Promise.all(
      unsure.filter(([, { topic }]) => !isSure(topic.id))
        .map(([place, { name, topic }]) => this.ensure(name, topic, `${operation}.${place}`, maker)),
    );
  }

  #existsForSure({ id }: Topic): boolean {
    const age = this.#options.clock() - (this.#existedAt.get(id) ?? -Infinity);
    // If the age is below 0, the clock was set back, and the true age is unknown.
    return age >= 0 && age < POSITIVE_MS;
  }

  /**
   * Makes the topic if it does not exist, and notes now and then that it is needed; that is durable when this resolves. `operation` is the
   * id of the operation that needs it.
   * @throws {Refusal} "too_many", "unavailable" @throws {LogError}
   */
  async ensure(name: string, topic: Topic, operation: string, maker: Maker): Promise<void> {
    const { clock } = this.#options;
    if (this.#existsForSure(topic)) return;
    // Publishes that come together make the topic once. A refusal counts for its client only: others may have room.
    const key = "client" in maker ? `${topic.id} ${clientKeyOf(maker.client)}` : topic.id;
    let made = this.#making.get(key);
    if (made === undefined) {
      made = this.#make(name, topic, operation, maker)
        .then(() => remember(this.#existedAt, topic.id, clock()))
        .finally(() => this.#making.delete(key));
      this.#making.set(key, made);
    }
    await made;
  }

  /** Forgets that the topic existed a moment ago: it was just deregistered here. */
  forget({ id }: Topic): void {
    this.#existedAt.delete(id);
  }

  async #make(name: string, topic: Topic, operation: string, maker: Maker): Promise<void> {
    const { log, quotas, clock } = this.#options;
    const found = await this.find(topic);
    if (found !== undefined && !isUseOld(found, this.#after, clock())) return;
    const client = "client" in maker ? maker.client : await maker.makerOf();
    await quotas.appendWithin({
      client,
      uses: async () => "client" in maker && await this.live(topic) === undefined ? ["topics"] : [],
      countedIn: "topics",
      append: async () => {
        const event = {
          type: "register",
          id: useIdOf(operation),
          time: clock(),
          topic: name,
          end: await log.end("messages", topic.partition),
          ...(client === undefined ? {} : { client }),
        } as const;
        return await log.append("events", { key: topic.id, value: encodeEvent(event) });
      },
    });
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.size >= MOST_REMEMBERED) map.delete(map.keys().next().value!);
  map.delete(key);
  map.set(key, value);
}
