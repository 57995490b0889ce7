// Content with an Idempotency-Key (WIRE §1, A4.4): the same key is the same message, and its repeats get the first one's answer.
// The log's order decides which record is the first of its key, and the block index tells it. So the answer is right also for
// publishes that race through several cores, and for those repeated after a crash.
import { createHash } from "node:crypto";
import { clientKeyOf } from "../../shared/client-key.ts";
import type { ClientIdentity } from "../../shared/core-api.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import type { Keyed } from "../messages/block.ts";
import type { Tail } from "../messages/tail.ts";
import { keyedMessageIdOf } from "../state/ids.ts";
import type { Position } from "../log/log.ts";
import { waitForMessages } from "./accepted.ts";
import { notCaughtUp, Refusal } from "./refusal.ts";
import type { Topic } from "./topics.ts";

export interface KeyedContent {
  /** 1–255 visible ASCII. */
  readonly key: string;
  /** The client that the key belongs to; undefined: the anonymous client. */
  readonly client: ClientIdentity | undefined;
  readonly body: Uint8Array;
}

export interface KeyedOptions {
  readonly index: Pick<BlockIndex, "remembered" | "firstOf">;
  readonly tail: Pick<Tail, "passed">;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** What the record of keyed content carries. */
export interface KeyedMarks {
  readonly id: string;
  /** base64url(SHA-256(body)). */
  readonly sha256: string;
}

/**
 * Yields the id and the place of the first message with the key. `append` is called if no message with the key is known.
 * @throws {Refusal} "conflict" if the first message had another body; "unavailable" @throws {LogError}
 */
export type AppendKeyed = (
  content: KeyedContent,
  topic: Topic,
  append: (marks: KeyedMarks) => Promise<Position>,
) => Promise<{ readonly id: string; readonly at: Position }>;

export function createAppendKeyed({ index, tail, clock }: KeyedOptions): AppendKeyed {
  // The newest publish of each id. The next one waits for it, and then knows what it appended.
  const newest = new Map<string, Promise<unknown>>();

  async function appendOnce(
    { id, sha256 }: KeyedMarks,
    { partition }: Topic,
    append: (marks: KeyedMarks) => Promise<Position>,
  ): Promise<Position> {
    const remembered = await index.remembered(partition, id, clock());
    if (remembered !== undefined) return answerOf(remembered, sha256, partition);
    const at = await append({ id, sha256 });
    // The index knows the first record of a key only among those that the tail has passed.
    await waitForMessages(tail, partition, at.offset + 1);
    const first = await index.firstOf(partition, id, at.offset);
    if (first === undefined) throw notCaughtUp();
    return answerOf(first, sha256, partition);
  }

  return async ({ key, client, body }, topic, append) => {
    const id = keyedMessageIdOf(clientKeyOf(client), topic.id, key);
    const sha256 = createHash("sha256").update(body).digest("base64url");
    const before = newest.get(id);
    const answer = (async () => {
      await before?.catch(() => {});
      return await appendOnce({ id, sha256 }, topic, append);
    })();
    newest.set(id, answer);
    try {
      return { id, at: await answer };
    } finally {
      if (newest.get(id) === answer) newest.delete(id);
    }
  };
}

function answerOf(first: Keyed, sha256: string, partition: number): Position {
  if (first.sha256 === sha256) return { partition, offset: first.offset };
  throw new Refusal("conflict", "This Idempotency-Key was used with another body; use a new one for another message");
}
