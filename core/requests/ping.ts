// ping: topics have changed; the core fetches those that have a subscription (WIRE §1, §3).
import type { PingOperation } from "../../shared/core-api.ts";
import { whoAsks } from "../../shared/shares/requester.ts";
import { type Log, partitionsOf } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent } from "../state/events.ts";
import { waitForAccepted } from "./accepted.ts";
import type { NamedTopic, Registration, Topics } from "./topics.ts";

export interface PingOptions {
  readonly log: Pick<Log, "append" | "end" | "partitions">;
  readonly replica: Pick<Replica, "subscribedOf" | "reached">;
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
  async function withSubscriptions(named: readonly NamedTopic[]): Promise<NamedTopic[]> {
    const idsOf = (some: readonly NamedTopic[]) => some.map(({ topic }) => topic.id);
    const first = await replica.subscribedOf(idsOf(named));
    const others = named.filter(({ topic }) => !first.has(topic.id));
    if (others.length === 0) return [...named];
    // A3.11: a topic has no subscription only after all that was accepted before, in every shard.
    await Promise.all(
      partitionsOf(log, "events").map((shard) => waitForAccepted({ log, replica }, "subscriptions", shard)),
    );
    const second = await replica.subscribedOf(idsOf(others));
    return named.filter(({ topic: { id } }) => first.has(id) || second.has(id));
  }

  return async (operation) => {
    const { id, topics: names, client } = operation;
    const named = names.map((name) => ({ name, topic: topics.identify(name) }));
    if (registration === "required") await topics.refuseUnregistered(named);
    const pinged = await withSubscriptions(named);
    await topics.ensureAll(pinged, id, { client });
    const by = whoAsks(operation);
    // The pings are in the log before the answer (WIRE §3). They share a commit.
    await Promise.all(pinged.map(async ({ name, topic }, place) => {
      const event = { type: "ping", id: `${id}.${place}`, time: clock(), topic: name, ...by } as const;
      await log.append("events", { key: topic.id, value: encodeEvent(event) });
    }));
  };
}
