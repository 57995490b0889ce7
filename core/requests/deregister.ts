// deregister: the topic and its subscriptions end at this point of the log (WIRE §1, A3.9).
import type { DeregisterOperation } from "../../shared/core-api.ts";
import { type Log, partitionsOf } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent } from "../state/events.ts";
import { hasOperation } from "../state/recent-operations.ts";
import { ACCEPTED_WITHIN_MS } from "./accepted.ts";
import { Refusal } from "./refusal.ts";
import type { Topic, Topics } from "./topics.ts";

export interface DeregisterOptions {
  readonly log: Pick<Log, "append" | "partitions" | "partitionOf">;
  readonly replica: Pick<Replica, "topic" | "reached">;
  readonly topics: Topics;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Resolves when the deregister is durable in every shard. @throws {Refusal} "not_found", "unavailable" @throws {LogError} */
export type Deregister = (operation: DeregisterOperation) => Promise<void>;

export function createDeregister({ log, replica, topics, clock }: DeregisterOptions): Deregister {
  /** A second try of a deregister whose first try is already folded gets the answer of the first. */
  async function wasDeregisteredBy(topic: Topic, operation: string): Promise<boolean> {
    const record = await replica.topic(topic.id);
    return record !== undefined && hasOperation(record.operations, operation);
  }

  return async ({ id, topic: name }) => {
    const topic = topics.identify(name);
    if (await topics.latest(topic) === undefined && !await wasDeregisteredBy(topic, id)) {
      throw new Refusal("not_found", `hub.topic "${name}" is not registered`);
    }
    const value = encodeEvent({ type: "deregister", id, time: clock(), topic: name });
    // A3.9: its subscriptions may be in any shard.
    const append = (shard: number) => log.append("events", { key: topic.id, value }, shard);
    const places = await Promise.all(partitionsOf(log, "events").map(append));
    topics.forget(topic);
    // After this wait the next question about the topic, or publish to it, finds that it has ended. A wait that fails changes nothing:
    // the deregister is durable.
    const shard = log.partitionOf("events", topic.id);
    await replica.reached("topics", shard, places[shard]!.offset + 1, ACCEPTED_WITHIN_MS);
  };
}
