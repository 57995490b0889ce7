// publish: content gets into the log, once however often an edge sends it, and is acknowledged when it is durable (WIRE §1, A3.8,
// A4.4).
import { encodeCursor } from "../messages/cursor-text.ts";
import type { RecentIds } from "../messages/recent-ids.ts";
import type { ClientIdentity, ContentAnswer } from "../../shared/core-api.ts";
import { MESSAGE_HEADERS } from "../messages/message.ts";
import type { Tail } from "../messages/tail.ts";
import type { Log, Position } from "../log/log.ts";
import { createAppendKeyed, type KeyedMarks, type KeyedOptions } from "./idempotency-key.ts";
import { waitForMessages } from "./accepted.ts";
import { refuseStale } from "./parse-operation.ts";
import { Refusal } from "./refusal.ts";
import type { Registration, Topic, Topics } from "./topics.ts";

export interface Content {
  readonly id: string;
  /** When the edge made it, ms since 1970. */
  readonly madeAt: number;
  readonly topic: string;
  /** Who publishes; undefined: the anonymous client. */
  readonly client: ClientIdentity | undefined;
  /** The publisher's idempotency key, 1–255 visible ASCII; undefined if none. */
  readonly key: string | undefined;
  readonly contentType: string;
  /** The headers that travel with it, as a JSON object; undefined if there are none. */
  readonly headers: string | undefined;
  readonly traceparent: string | undefined;
  readonly body: Uint8Array;
}

export interface PublishOptions {
  readonly log: Log;
  readonly topics: Topics;
  readonly registration: Registration;
  readonly recentIds: RecentIds;
  readonly index: KeyedOptions["index"];
  readonly tail: Pick<Tail, "passed">;
  readonly clock: () => number;
}

/** The most bytes of content that may wait for the log. */
const MOST_PENDING_BYTES = 64 * 1024 * 1024;
/** Content that was made less than this ago is in its first try: an edge waits 7 s for an answer before it tries again. */
const FIRST_TRY_MS = 1_000;

/** @throws {Refusal | LogError} */
export type Publish = (content: Content) => Promise<ContentAnswer>;

export function createPublish(options: PublishOptions): Publish {
  const { log, topics, recentIds, clock } = options;
  const appendKeyed = createAppendKeyed(options);
  const answers = new Map<string, Promise<ContentAnswer>>();
  const startedAt = clock();
  let pendingBytes = 0;

  async function append(content: Content): Promise<ContentAnswer> {
    const topic = topics.identify(content.topic);
    refuseStale(content, clock());
    if (options.registration === "automatic") {
      await topics.ensure(content.topic, topic, content.id, { client: content.client });
    } else {
      await topics.refuseUnregistered([{ name: content.topic, topic }]);
    }
    const { key, client, body } = content;
    if (key !== undefined) {
      const { id, at } = await appendKeyed({ key, client, body }, topic, (marks) => write(content, topic, marks));
      return { id, cursor: encodeCursor(topic.id, at) };
    }
    const at = recentIds.find(content.id) ?? await earlier(content, topic.partition) ?? await write(content, topic);
    return { id: content.id, cursor: encodeCursor(topic.id, at) };
  }

  function write(content: Content, topic: Topic, marks?: KeyedMarks): Promise<Position> {
    const headers: Record<string, string> = {
      [MESSAGE_HEADERS.id]: marks?.id ?? content.id,
      [MESSAGE_HEADERS.contentType]: content.contentType,
      [MESSAGE_HEADERS.topic]: content.topic,
    };
    if (content.traceparent !== undefined) headers[MESSAGE_HEADERS.traceparent] = content.traceparent;
    if (content.headers !== undefined) headers[MESSAGE_HEADERS.extra] = content.headers;
    if (marks !== undefined) headers[MESSAGE_HEADERS.sha256] = marks.sha256;
    return log.append("messages", { key: topic.id, value: content.body, headers });
  }

  /** Where an earlier try stands in the log, from this process or another one: the tail knows after it has passed the end. */
  async function earlier(content: Content, partition: number) {
    const firstTry = content.madeAt > clock() - FIRST_TRY_MS && content.madeAt > startedAt;
    if (firstTry) return undefined;
    const end = await log.end("messages", partition);
    await waitForMessages(options.tail, partition, end);
    return recentIds.find(content.id);
  }

  return (content) => {
    const running = answers.get(content.id);
    if (running !== undefined) return running;
    const size = content.body.byteLength + 1_024;
    if (pendingBytes + size > MOST_PENDING_BYTES) {
      return Promise.reject(new Refusal("unavailable", "The hub is taking as much content as it can; try again"));
    }
    pendingBytes += size;
    const answer = append(content).finally(() => {
      pendingBytes -= size;
      answers.delete(content.id);
    });
    answers.set(content.id, answer);
    return answer;
  };
}
