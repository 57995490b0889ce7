// What is written to the stream `dead-letters`: a letter when a message was given up (core/delivery/sending/apply-outcome.ts decides
// that; shard.ts writes it), and a note when a replay of it was delivered. The replica's copy is core/replica/dead-letter-rows.ts.
import type { ShardRecord } from "../log/log.ts";
import { type DeadLetter, encodeRecord } from "../state/records.ts";

/** The record of a message that a subscription's lane gave up in this life. */
export function deadLetterRecord(
  { id, life }: { readonly id: string; readonly life: number },
  letter: DeadLetter,
): ShardRecord {
  return { stream: "dead-letters", key: id, value: encodeRecord({ life, ...letter }) };
}

/** The record that says that the letter at this offset of `dead-letters` was delivered after all. */
export function replayedRecord(subscriptionId: string, offset: number): ShardRecord {
  return { stream: "dead-letters", key: subscriptionId, value: encodeRecord({ replayed: offset }) };
}
