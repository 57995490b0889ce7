// What an edge asks of the core, done: each operation becomes durable events, and is answered only then (WIRE §1, §2).
import type {
  ClientIdentity,
  DeregisterOperation,
  IntentOperation,
  Operation,
  OperationAnswer,
  PingOperation,
  RegisterOperation,
  ResultOperation,
} from "../../shared/core-api.ts";
import { encodeEvent, type HubEvent, type ResultEvent } from "../state/events.ts";
import type { TopicRecord } from "../state/records.ts";
import { isLive, MOST_PENDING } from "../state/fold-subscription.ts";
import { isSameClient, subscriptionIdOf } from "../state/ids.ts";
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { Log, Position } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { ACCEPTED_WITHIN_MS, waitForAccepted } from "./accepted.ts";
import { refuseStale } from "./operation.ts";
import { HUB_START, offsetOf, parsePosition } from "./position.ts";
import type { Quota, Quotas } from "./quotas.ts";
import { Refusal } from "./refusal.ts";
import type { Topic, Topics } from "./topics.ts";

export interface OperationsOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly topics: Topics;
  readonly quotas: Quotas;
  readonly registration: "automatic" | "required";
  /** AUTO_VERIFY: whether an edge's mark counts at all. */
  readonly autoVerify: boolean;
  readonly secrets: Pick<Secrets, "examine">;
  readonly clock: () => number;
}

export interface Operations {
  /** @throws {Refusal | LogError} */
  perform(operation: Operation): Promise<OperationAnswer>;
  /** The event that says what came of an intent, with what it must carry; also for verifications of the core's own. */
  resultOf(result: Omit<ResultOperation, "kind" | "madeAt">): Promise<ResultEvent>;
}

const DONE: OperationAnswer = { kind: "done" };

export function createOperations(options: OperationsOptions): Operations {
  const { log, replica, topics, quotas, clock } = options;

  async function append(event: HubEvent, key: string, partition?: number): Promise<Position> {
    return await log.append("events", { key, value: encodeEvent(event) }, partition);
  }

  async function register({ id, topic: name, client }: RegisterOperation): Promise<OperationAnswer> {
    const topic = topics.identify(name);
    const end = await log.end("messages", topic.partition);
    const of = client === undefined ? {} : { client };
    await quotas.appendWithin({
      client,
      uses: async () => await topics.live(topic) === undefined ? ["topics"] : [],
      countedIn: "topics",
      append: () => append({ type: "register", id, time: clock(), topic: name, end, ...of }, topic.id),
    });
    return DONE;
  }

  async function deregister({ id, topic: name }: DeregisterOperation): Promise<OperationAnswer> {
    const topic = topics.identify(name);
    if (await topics.latest(topic) === undefined && !await wasDeregisteredBy(topic, id)) {
      throw new Refusal("not_found", `hub.topic "${name}" is not registered`);
    }
    const event = { type: "deregister", id, time: clock(), topic: name } as const;
    // A3.9: its subscriptions may be in any shard.
    const partitions = Array.from({ length: log.partitions("events") }, (_, partition) => partition);
    const places = await Promise.all(partitions.map((partition) => append(event, topic.id, partition)));
    topics.forget(topic);
    // Who asks next, or publishes again at once, meets a topic that has ended. Beyond the wait it is as durable.
    const shard = log.partitionOf("events", topic.id);
    await replica.reached("topics", shard, places[shard]!.offset + 1, ACCEPTED_WITHIN_MS);
    return DONE;
  }

  /** A second try of a deregister whose first was folded meanwhile is answered as the first was. */
  async function wasDeregisteredBy(topic: Topic, operation: string): Promise<boolean> {
    const record = await replica.topic(topic.id);
    return record?.operations.some(([id]) => id === operation) ?? false;
  }

  async function intent(operation: IntentOperation): Promise<OperationAnswer> {
    const { id, mode, callback } = operation;
    const topic = topics.identify(operation.topic);
    const subscriptionId = subscriptionIdOf(operation.topic, callback);
    if (operation.secret !== undefined) examineSecret(operation.secret, subscriptionId);
    const before = await replica.subscription(subscriptionId);
    const repeated = before?.pending.find((pending) => pending.id === id);
    if (repeated !== undefined) {
      return { kind: "intent", offset: repeated.offset, verify: repeated.marked === undefined };
    }
    if (before !== undefined && before.pending.length >= MOST_PENDING) {
      throw new Refusal("too_many", "This topic and callback have 4 requests waiting to be verified; wait for them");
    }
    // §5.2: unsubscribe never depends on the topic.
    const record = mode === "subscribe" ? await knownTopic(topic, operation) : undefined;
    const denied = mode === "subscribe" && record === undefined && options.registration === "required"
      ? `topic "${operation.topic}" is not registered`
      : undefined;
    const asked = operation.start === undefined ? undefined : await startOf(operation.start, topic, record);
    // A3.6: the end before the intent is in the log, so that nothing published after the subscriber's yes is missed.
    const end = await log.end("messages", topic.partition);
    const { leaseMs, secret, verifyToken, concurrency, client } = operation;
    const marked = options.autoVerify && operation.marked === true && denied === undefined;
    const event: HubEvent = {
      type: "intent",
      id,
      time: clock(),
      mode,
      topic: operation.topic,
      callback,
      end,
      ...(asked === undefined ? {} : { start: asked }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(secret === undefined ? {} : { secret }),
      ...(verifyToken === undefined ? {} : { verifyToken }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(client === undefined ? {} : { client }),
      ...(marked ? { marked } : {}),
      ...(denied === undefined ? {} : { denied }),
    };
    const makes = mode === "subscribe" && denied === undefined;
    const { offset } = !makes ? await append(event, subscriptionId) : await quotas.appendWithin({
      client,
      uses: () => madeBy(client, topic, subscriptionId),
      countedIn: "subscriptions",
      append: async () => {
        // As a verified subscribe does: the fold may take this one for verified.
        if (marked && options.registration === "automatic") {
          await topics.ensure(operation.topic, topic, id, { makerOf: () => Promise.resolve(client) });
        }
        return await append(event, subscriptionId);
      },
    });
    // Whether a mark counts is the fold's to say; if it does not, its owner sends the challenge at once (WIRE §2).
    return { kind: "intent", offset, verify: denied === undefined && !marked };
  }

  /** The offset that `hub.start` names (WIRE §2); undefined for `latest`. Never before the topic's own beginning. */
  async function startOf(text: string, topic: Topic, record: TopicRecord | undefined): Promise<number | undefined> {
    const position = parsePosition(HUB_START, text, topic, clock());
    if (position.kind === "latest") return undefined;
    const beginning = Math.max(record?.start ?? 0, await log.start("messages", topic.partition));
    const offset = await offsetOf(position, topic, log);
    // A new topic has no earlier messages: those of a deregistered topic of the same name are not its own.
    return record === undefined ? undefined : Math.max(beginning, offset);
  }

  /** What a subscribe would make that its client does not have: a renewal makes nothing. */
  async function madeBy(client: ClientIdentity | undefined, topic: Topic, id: string): Promise<readonly Quota[]> {
    const record = await replica.subscription(id);
    const isTheirs = record !== undefined &&
      ((isLive(record.phase) && isSameClient(record.client, client)) ||
        record.pending.some((intent) => intent.mode === "subscribe" && isSameClient(intent.client, client)));
    if (isTheirs) return [];
    const makesTopic = options.registration === "automatic" && await topics.live(topic) === undefined;
    return makesTopic ? ["subscriptions", "topics"] : ["subscriptions"];
  }

  /** A secret that was sealed for another subscription, or to a key of another hub, never gets into the log. */
  function examineSecret(sealed: string, subscriptionId: string): void {
    try {
      options.secrets.examine(sealed, subscriptionId);
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      // The edge knows older keys than ours: a new session brings it these.
      if (error.code === "unknown_key") {
        throw new Refusal("no_session", `The operation's secret is wrong: ${error.message}`);
      }
      throw new Refusal("invalid_request", `The operation's secret is wrong: ${error.message}`);
    }
  }

  /** Needed only where the answer matters: to deny under `required`, and to know how far back a start may reach. */
  async function knownTopic(topic: Topic, operation: IntentOperation) {
    if (options.registration !== "required" && operation.start === undefined) return undefined;
    // What began anew a moment ago begins later: an older record would hand out messages of the life before.
    return await (operation.start === undefined ? topics.find(topic) : topics.latest(topic));
  }

  async function resultOf(result: Omit<ResultOperation, "kind" | "madeAt">): Promise<ResultEvent> {
    const { id, intent, mode, topic: name, callback, verified } = result;
    const topic = topics.identify(name);
    // A verified subscribe makes its topic (WIRE §1); before the result, so that a crash between them cannot lose it.
    const makes = verified && mode === "subscribe" && options.registration === "automatic";
    if (makes) {
      const makerOf = () => clientOfIntent(intent, subscriptionIdOf(name, callback));
      await topics.ensure(name, topic, id, { makerOf });
    }
    const time = clock();
    const challengedAt = time - result.elapsedMs;
    const end = verified && mode === "unsubscribe" ? { end: await log.end("messages", topic.partition) } : {};
    return { type: "result", id, time, intent, topic: name, callback, verified, challengedAt, ...end };
  }

  async function clientOfIntent(intent: string, subscriptionId: string): Promise<ClientIdentity | undefined> {
    const shard = log.partitionOf("events", subscriptionId);
    await replica.reached("subscriptions", shard, await log.end("events", shard), ACCEPTED_WITHIN_MS);
    const record = await replica.subscription(subscriptionId);
    return record?.pending.find(({ id }) => id === intent)?.client;
  }

  async function ping({ id, topics: names, client }: PingOperation): Promise<OperationAnswer> {
    const known = names.map((name) => ({ name, topic: topics.identify(name) }));
    if (options.registration === "required") {
      for (const { name, topic } of known) {
        if (await topics.find(topic) === undefined) {
          throw new Refusal("not_found", `hub.topic "${name}" is not registered; register it first`);
        }
      }
    }
    const wanted = await withSubscriptions(known);
    // In the log before the answer (WIRE §3).
    await Promise.all(wanted.map(async ({ name, topic }, index) => {
      await topics.ensure(name, topic, `${id}.${index}`, { client });
      await append({ type: "ping", id: `${id}.${index}`, time: clock(), topic: name }, topic.id);
    }));
    return DONE;
  }

  /** Those with any subscription: active, parked, expired or pending. The rest need no fetch (WIRE §1). */
  async function withSubscriptions<T extends { topic: Topic }>(known: readonly T[]): Promise<T[]> {
    const has = ({ topic }: T) => replica.hasSubscriptions(topic.id);
    const first = await Promise.all(known.map(has));
    if (first.every(Boolean)) return [...known];
    // A3.11: before it says that there is none, it waits for what was just accepted in every shard.
    const shards = Array.from({ length: log.partitions("events") }, (_, shard) => shard);
    await Promise.all(shards.map((shard) => waitForAccepted({ log, replica }, "subscriptions", shard)));
    const second = await Promise.all(known.map(has));
    return known.filter((_, index) => second[index]);
  }

  return {
    resultOf,
    async perform(operation) {
      refuseStale(operation, clock());
      switch (operation.kind) {
        case "register":
          return await register(operation);
        case "deregister":
          return await deregister(operation);
        case "intent":
          return await intent(operation);
        case "ping":
          return await ping(operation);
        case "result": {
          const event = await resultOf(operation);
          await append(event, subscriptionIdOf(operation.topic, operation.callback));
          return DONE;
        }
      }
    },
  };
}
