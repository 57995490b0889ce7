// intent: a subscribe or unsubscribe that is to be verified (WIRE §2). It is durable before its 202; the fold says what comes of
// it (A3.6).
import type { ClientIdentity, IntentOperation, OperationAnswer } from "../../shared/core-api.ts";
import { requesterOf, whoAsks } from "../../shared/shares/requester.ts";
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { Log, Position } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { encodeEvent, type IntentEvent } from "../state/events.ts";
import { isSameClient, subscriptionIdOf } from "../state/ids.ts";
import { type Place, placeFor } from "../state/pending-intents.ts";
import { isLive, type SubscriptionRecord, type TopicRecord } from "../state/records.ts";
import { HUB_START, offsetOf, parsePosition } from "./named-position.ts";
import type { Quota, Quotas } from "./quotas.ts";
import { Refusal } from "./refusal.ts";
import type { Registration, Topic, Topics } from "./topics.ts";

export interface IntentOptions {
  readonly log: Pick<Log, "append" | "start" | "end" | "positionAt">;
  readonly replica: Pick<Replica, "subscription">;
  readonly topics: Topics;
  readonly quotas: Quotas;
  readonly registration: Registration;
  /** AUTO_VERIFY: whether an edge's mark counts at all. */
  readonly autoVerify: boolean;
  readonly secrets: Pick<Secrets, "examine" | "isHeldBy" | "seal">;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Resolves when the intent is durable. @throws {Refusal | LogError} */
export type Intent = (operation: IntentOperation) => Promise<OperationAnswer>;

/** What the core adds to an operation. */
interface Additions extends Pick<IntentEvent, "time" | "end"> {
  readonly start: number | undefined;
  readonly denied: string | undefined;
  readonly marked: boolean;
  readonly sealedToken: string | undefined;
  readonly isOwn: boolean;
}

export function createIntent(options: IntentOptions): Intent {
  const { log, replica, topics, quotas, registration, clock } = options;

  /** What the topic means for a subscribe: the offset of its `hub.start`, and why it is denied. */
  async function onTopic(topic: Topic, { topic: name, start }: IntentOperation) {
    // The topic is read only where it matters: to deny under `required`, and to know how far back a start may reach.
    if (registration !== "required" && start === undefined) return { start: undefined, denied: undefined };
    // An older record of a topic that began anew a moment ago would hand out messages of its life before.
    const record = await (start === undefined ? topics.find(topic) : topics.latest(topic));
    const denied = registration === "required" && record === undefined
      ? `topic "${name}" is not registered`
      : undefined;
    return { start: start === undefined ? undefined : await startOf(start, topic, record), denied };
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

  /** Which quotas of its client a subscribe uses; a renewal uses none. */
  async function quotasOf(client: ClientIdentity | undefined, topic: Topic, id: string): Promise<readonly Quota[]> {
    const record = await replica.subscription(id);
    const isTheirs = record !== undefined &&
      ((isLive(record.phase) && isSameClient(record.client, client)) ||
        record.pending.some((intent) => intent.mode === "subscribe" && isSameClient(intent.client, client)));
    if (isTheirs) return [];
    const makesTopic = registration === "automatic" && await topics.live(topic) === undefined;
    return makesTopic ? ["subscriptions", "topics"] : ["subscriptions"];
  }

  async function append(event: IntentEvent, topic: Topic, subscriptionId: string): Promise<Position> {
    const write = () => log.append("events", { key: subscriptionId, value: encodeEvent(event) });
    if (event.mode === "unsubscribe" || event.denied !== undefined) return await write();
    const { client } = event;
    return await quotas.appendWithin({
      client,
      uses: () => quotasOf(client, topic, subscriptionId),
      countedIn: "subscriptions",
      append: async () => {
        // The fold may take a marked subscribe as verified, and a verified one makes its topic (WIRE §1).
        if (event.marked && registration === "automatic") {
          await topics.ensure(event.topic, topic, event.id, { makerOf: () => Promise.resolve(client) });
        }
        return await write();
      },
    });
  }

  return async (operation) => {
    const topic = topics.identify(operation.topic);
    const subscriptionId = subscriptionIdOf(operation.topic, operation.callback);
    for (const sealed of [operation.secret, operation.sealedToken]) {
      if (sealed !== undefined) examineSecret(options.secrets, sealed, subscriptionId);
    }
    const record = await replica.subscription(subscriptionId);
    const { pending = [] } = record ?? {};
    const repeated = pending.find(({ id }) => id === operation.id);
    if (repeated !== undefined) {
      const { offset, isOwn } = repeated;
      return { kind: "intent", offset, verify: isForEdge(repeated), ...(isOwn === true ? { isOwn } : {}) };
    }
    const isOwn = isOfOwner(record, operation, options.secrets);
    const place = placeFor(pending, { ...operation, ...(isOwn ? { isOwn } : {}) });
    if (place.kind === "full") throw new Refusal("too_many", TOO_MANY_PENDING);
    // §5.2: unsubscribe never depends on the topic.
    const { start, denied } = operation.mode === "subscribe"
      ? await onTopic(topic, operation)
      : { start: undefined, denied: undefined };
    // A3.6: the end before the intent is in the log, so that nothing published after the subscriber's yes is missed.
    const end = await log.end("messages", topic.partition);
    const marked = options.autoVerify && operation.marked === true && denied === undefined;
    const sealedToken = await sealedTokenOf(options.secrets, operation, subscriptionId);
    const event = eventOf(operation, { time: clock(), end, start, denied, marked, isOwn, sealedToken });
    const { offset } = await append(event, topic, subscriptionId);
    return answerOf(event, offset, place);
  };
}

const TOO_MANY_PENDING = "This topic and callback have too many requests waiting to be verified; wait for them";

function answerOf(event: IntentEvent, offset: number, place: Place): OperationAnswer {
  const { denied, isOwn } = event;
  const isPending = denied === undefined;
  return {
    kind: "intent",
    offset,
    verify: isPending && isForEdge(event),
    ...(isOwn === true ? { isOwn } : {}),
    ...(isPending && place.kind === "replaces" ? { replaces: place.intent.id } : {}),
  };
}

/**
 * Whether the one who asks has the subscription: the client does, or the address where no token says a client. An owner whose address has
 * changed is known by the secret. Secrets are compared only while an intent of another requester waits, since opening them takes time.
 * Elsewhere an owner needs no place of its own, and the time of an answer does not tell whether there is a subscription (WIRE §5).
 */
function isOfOwner(
  record: SubscriptionRecord | undefined,
  operation: IntentOperation,
  secrets: Pick<Secrets, "isHeldBy">,
): boolean {
  const { topic, callback, client, requester, secret } = operation;
  const held = record !== undefined && isLive(record.phase) ? record : undefined;
  if (held !== undefined && isSameClient(held.client, client)) {
    if (client !== undefined || (requester !== undefined && requester === held.requester)) return true;
  }
  const asking = requesterOf(operation);
  const isCrowded = record?.pending.some((intent) => requesterOf(intent) !== asking) === true;
  return secret !== undefined && isCrowded &&
    secrets.isHeldBy(secret, held?.secret, subscriptionIdOf(topic, callback));
}

/**
 * Whether the edge is to verify the intent. The fold decides whether a mark counts; if it does not, the owner sends the challenge
 * at once (WIRE §2), as it does for an edge that cannot pin addresses (A3.6).
 */
function isForEdge({ marked, unpinned }: Pick<IntentEvent, "marked" | "unpinned">): boolean {
  return marked === undefined && unpinned === undefined;
}

/** A secret that is sealed for another subscription, or to a key of another hub, never gets into the log. @throws {Refusal} */
function examineSecret(secrets: Pick<Secrets, "examine">, sealed: string, subscriptionId: string): void {
  try {
    secrets.examine(sealed, subscriptionId);
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    // The edge sealed to a key that this core no longer has: a new session brings it the present ones.
    const code = error.code === "unknown_key" ? "no_session" : "invalid_request";
    throw new Refusal(code, `The operation's secret is wrong: ${error.message}`);
  }
}

/** The sealed verify token. One that an older edge sends in clear is sealed here, so that the log never has it. */
async function sealedTokenOf(
  secrets: Pick<Secrets, "seal">,
  { sealedToken, verifyToken }: IntentOperation,
  subscriptionId: string,
): Promise<string | undefined> {
  return sealedToken ?? (verifyToken === undefined ? undefined : await secrets.seal(verifyToken, subscriptionId));
}

function eventOf(
  operation: IntentOperation,
  { time, end, start, denied, marked, isOwn, sealedToken }: Additions,
): IntentEvent {
  const {
    id,
    mode,
    topic,
    callback,
    leaseMs,
    secret,
    signature,
    concurrency,
    unpinned,
  } = operation;
  return {
    type: "intent",
    id,
    time,
    mode,
    topic,
    callback,
    end,
    ...(start === undefined ? {} : { start }),
    ...(leaseMs === undefined ? {} : { leaseMs }),
    // The secret of an unsubscribe only tells whose request it is.
    ...(secret === undefined || mode === "unsubscribe" ? {} : { secret }),
    ...(signature === undefined ? {} : { signature }),
    ...(sealedToken === undefined ? {} : { sealedToken }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...whoAsks(operation),
    ...(isOwn ? { isOwn } : {}),
    ...(marked ? { marked } : {}),
    ...(unpinned === undefined ? {} : { unpinned }),
    ...(denied === undefined ? {} : { denied }),
  };
}
