// Which topics there are, as a request must know it: never a wrong "no" (A3.11).
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
  /** Of `messages`. */
  readonly partition: number;
}

export interface Topics {
  identify(topic: string): Topic;
  /** The topic's record, if it lives; waits for what was just accepted before it says that there is none. */
  find(topic: Topic): Promise<TopicRecord | undefined>;
  /** The same after all that was accepted before the call, by any core: for what a record a moment old would get wrong. */
  latest(topic: Topic): Promise<TopicRecord | undefined>;
  /** The topic's record, if the replica has it and it lives; it may be a moment old. */
  live(topic: Topic): Promise<TopicRecord | undefined>;
  /**
   * Makes the topic if there is none: durable before it returns. `operation` is the id of what asked for it. With `makerOf`
   * room was taken for it before.
   * @throws {Refusal} "too_many"
   */
  ensure(name: string, topic: Topic, operation: string, maker: Maker): Promise<void>;
  /** @throws {Refusal} "not_found", "unavailable": for publishes and pings under TOPIC_REGISTRATION=required */
  refuseUnregistered(name: string, topic: Topic): Promise<void>;
  /** Forgets a positive answer: the topic was just deregistered here. */
  forget(topic: Topic): void;
}

/** Whose a topic becomes that has to be made; a function is asked only then. */
export type Maker =
  | { readonly client: ClientIdentity | undefined }
  | { readonly makerOf: () => Promise<ClientIdentity | undefined> };

/** A positive answer may be this old, ms. */
const POSITIVE_MS = 1_000;
const MOST_REMEMBERED = 10_000;

export interface TopicsOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly quotas: Quotas;
  readonly clock: () => number;
}

export function createTopics({ log, replica, quotas, clock }: TopicsOptions): Topics {
  // Names to ids, so that a busy topic is hashed once; and topics that were there a moment ago.
  const ids = new Map<string, Topic>();
  const positive = new Map<string, number>();
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
      const age = clock() - (positive.get(topic.id) ?? -Infinity);
      // Below 0 the clock was set back: nobody knows how old the answer is.
      if (age >= 0 && age < POSITIVE_MS) return;
      // Publishes that come together make the topic once; that one client may not says nothing of another.
      const key = "client" in maker ? `${topic.id} ${clientKeyOf(maker.client)}` : topic.id;
      let made = making.get(key);
      if (made === undefined) {
        made = make(name, topic, operation, maker).then(() => remember(positive, topic.id, clock())).finally(() =>
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
    forget: (topic) => void positive.delete(topic.id),
  };
}
