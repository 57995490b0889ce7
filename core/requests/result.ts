// result: what the verification of an intent brought (WIRE §2, A3.6).
import type { ClientIdentity, ResultOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent, type ResultEvent } from "../state/events.ts";
import { subscriptionIdOf } from "../state/ids.ts";
import { ACCEPTED_WITHIN_MS } from "./accepted.ts";
import type { Registration, Topics } from "./topics.ts";

export interface ResultOptions {
  readonly log: Pick<Log, "append" | "end" | "partitionOf">;
  readonly replica: Pick<Replica, "subscription" | "reached">;
  readonly topics: Topics;
  readonly registration: Registration;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export interface Results {
  /**
   * The event that says what came of an intent, with all that it must carry; also for verifications of the core itself. A verified
   * subscribe makes its topic first.
   * @throws {Refusal | LogError}
   */
  readonly eventOf: (result: Omit<ResultOperation, "kind" | "madeAt">) => Promise<ResultEvent>;
  /** Resolves when the result is durable. @throws {Refusal | LogError} */
  append(operation: ResultOperation): Promise<void>;
}

export function createResults({ log, replica, topics, registration, clock }: ResultOptions): Results {
  async function clientOfIntent(intent: string, subscriptionId: string): Promise<ClientIdentity | undefined> {
    const shard = log.partitionOf("events", subscriptionId);
    await replica.reached("subscriptions", shard, await log.end("events", shard), ACCEPTED_WITHIN_MS);
    const record = await replica.subscription(subscriptionId);
    return record?.pending.find(({ id }) => id === intent)?.client;
  }

  const results: Results = {
    async eventOf({ id, intent, mode, topic: name, callback, verified, outcome, reason = "", elapsedMs }) {
      const topic = topics.identify(name);
      // A verified subscribe makes its topic (WIRE §1): before the result, so that a crash between the two cannot lose it.
      if (verified && mode === "subscribe" && registration === "automatic") {
        const makerOf = () => clientOfIntent(intent, subscriptionIdOf(name, callback));
        await topics.ensure(name, topic, id, { makerOf });
      }
      const time = clock();
      const challengedAt = time - elapsedMs;
      const end = verified && mode === "unsubscribe" ? { end: await log.end("messages", topic.partition) } : {};
      // An edge that does not say the outcome is older than this core: its reason may say how a name resolves in this network.
      const why = verified || outcome === undefined ? {} : { outcome, reason: reason.slice(0, 200).toWellFormed() };
      return { type: "result", id, time, intent, topic: name, callback, verified, challengedAt, ...why, ...end };
    },
    async append(operation) {
      const value = encodeEvent(await results.eventOf(operation));
      await log.append("events", { key: subscriptionIdOf(operation.topic, operation.callback), value });
    },
  };
  return results;
}
