// Which topics exist, as a request needs to know it: never a wrong "no" (A3.11).
import type { ClientIdentity } from "../../shared/core-api.ts";
import { clientKeyOf, topicIdOf } from "../state/ids.ts";
import type { TopicRecord } from "../state/records.ts";
import { encodeEvent } from "../state/events.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
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

export interface Topics {
  identify(topic: string): Topic;
  /** The record of a topic that has not ended. Before it says that there is none, it waits for what was just accepted. */
  find(topic: Topic): Promise<TopicRecord | undefined>;
  /** The same after all that any core accepted before the call: for answers that a record a moment old would get wrong. */
  latest(topic: Topic): Promise<TopicRecord | undefined>;
  /** The same as the replica has it at once: it may be a moment old. */
  live(topic: Topic): Promise<TopicRecord | undefined>;
  /**
   * Makes the topic if it does not exist; it is durable when this resolves. `operation` is the id of the operation that needs it.
   * @throws {Refusal} "too_many"
   */
  ensure(name: string, topic: Topic, operation: string, maker: Maker): Promise<void>;
  /** For publishes and pings under TOPIC_REGISTRATION=required. @throws {Refusal} "not_found", "unavailable" */
  refuseUnregistered(name: string, topic: Topic): Promise<void>;
  /** Forgets that the topic existed a moment ago: it was just deregistered here. */
  forget(topic: Topic): void;
}

/**
 * The client that a new topic belongs to. `makerOf` is asked only if the topic has to be made, and no quota is checked: the subscribe
 * that makes the topic has used it already.
 */
export type Maker =
  | { readonly client: ClientIdentity | undefined }
  | { readonly makerOf: () => Promise<ClientIdentity | undefined> };

/** "It exists" may be this old, ms (A3.11). */
const POSITIVE_MS = 1_000;
const MOST_REMEMBERED = 10_000;

export interface TopicsOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly quotas: Quotas;
  readonly clock: () => number;
}

export function createTopics({ log, replica, quotas, clock }: TopicsOptions): Topics {
  // By name, so that a busy topic is hashed once.
  const ids = new Map<string, Topic>();
  // When a topic existed last, by its id.
  const existedAt = new Map<string, number>();
  const making = new Map<string, Promise<void>>();

  function remember<V>(map: Map<string, V>, key: string, value: V): void {
    if (map.size >= MOST_REMEMBERED) map.delete(map.keys().next().value!);
    map.delete(key);
    map.set(key, value);
  }

  async function find(topic: Topic): Promise<TopicRecord | undefined> {
    return await live(topic) ?? await latest(topic);
  }

  async function live({ id }: Topic): Promise<TopicRecord | undefined> {
    const record = await replica.topic(id);
    return record?.endedAt === undefined ? record : undefined;
  }

  async function latest(topic: Topic): Promise<TopicRecord | undefined> {
    const shard = log.partitionOf("events", topic.id);
    await waitForAccepted({ log, replica }, "topics", shard);
    return await live(topic);
  }

  async function make(name: string, topic: Topic, operation: string, maker: Maker): Promise<void> {
    if (await find(topic) !== undefined) return;
    const client = "client" in maker ? maker.client : await maker.makerOf();
    await quotas.appendWithin({
      client,
      uses: async () => "client" in maker && await live(topic) === undefined ? ["topics"] : [],
      countedIn: "topics",
      append: async () => {
        const event = {
          type: "register",
          id: `${operation}+topic`,
          time: clock(),
          topic: name,
          end: await log.end("messages", topic.partition),
          ...(client === undefined ? {} : { client }),
        } as const;
        return await log.append("events", { key: topic.id, value: encodeEvent(event) });
      },
    });
  }

  return {
    identify(name) {
      let topic = ids.get(name);
      if (topic === undefined) {
        const id = topicIdOf(name);
        remember(ids, name, topic = { id, partition: log.partitionOf("messages", id) });
      }
      return topic;
    },
    find,
    latest,
    live,
    async ensure(name, topic, operation, maker) {
      const age = clock() - (existedAt.get(topic.id) ?? -Infinity);
      // If the age is below 0, the clock was set back, and the true age is unknown.
      if (age >= 0 && age < POSITIVE_MS) return;
      // Publishes that come together make the topic once. A refusal counts for its client only: others may have room.
      const key = "client" in maker ? `${topic.id} ${clientKeyOf(maker.client)}` : topic.id;
      let made = making.get(key);
      if (made === undefined) {
        made = make(name, topic, operation, maker).then(() => remember(existedAt, topic.id, clock())).finally(() =>
          making.delete(key)
        );
        making.set(key, made);
      }
      await made;
    },
    async refuseUnregistered(name, topic) {
      if (await find(topic) !== undefined) return;
      throw new Refusal("not_found", `hub.topic "${name}" is not registered; register it first`);
    },
    forget: (topic) => void existedAt.delete(topic.id),
  };
}
