// ping: topics have changed; the core fetches those that have a subscription (WIRE §1, §3).
import type { PingOperation } from "../../shared/core-api.ts";
import { type Log, partitionsOf } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent } from "../state/events.ts";
import { waitForAccepted } from "./accepted.ts";
import type { Registration, Topic, Topics } from "./topics.ts";

export interface PingOptions {
  readonly log: Pick<Log, "append" | "end" | "partitions">;
  readonly replica: Pick<Replica, "hasSubscriptions" | "reached">;
  readonly topics: Topics;
  readonly registration: Registration;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/**
 * The pings of topics with a subscription are durable when it resolves.
 * @throws {Refusal} "not_found", "unavailable" @throws {LogError}
 */
export type Ping = (operation: PingOperation) => Promise<void>;

export function createPing({ log, replica, topics, registration, clock }: PingOptions): Ping {
  /** Topics with any subscription: active, parked, expired or pending. The others need no fetch (WIRE §1). */
  async function withSubscriptions<T extends { topic: Topic }>(known: readonly T[]): Promise<T[]> {
    const has = ({ topic }: T) => replica.hasSubscriptions(topic.id);
    const first = await Promise.all(known.map(has));
    if (first.every(Boolean)) return [...known];
    // A3.11: a topic has no subscription only after all that was accepted before, in every shard.
    await Promise.all(
      partitionsOf(log, "events").map((shard) => waitForAccepted({ log, replica }, "subscriptions", shard)),
    );
    const second = await Promise.all(known.map(has));
    return known.filter((_, index) => second[index]);
  }

  return async ({ id, topics: names, client }) => {
    const known = names.map((name) => ({ name, topic: topics.identify(name) }));
    if (registration === "required") {
      for (const { name, topic } of known) await topics.refuseUnregistered(name, topic);
    }
    const pinged = await withSubscriptions(known);
    // The pings are in the log before the answer (WIRE §3).
    await Promise.all(pinged.map(async ({ name, topic }, index) => {
      await topics.ensure(name, topic, `${id}.${index}`, { client });
      const event = { type: "ping", id: `${id}.${index}`, time: clock(), topic: name } as const;
      await log.append("events", { key: topic.id, value: encodeEvent(event) });
    }));
  };
}
