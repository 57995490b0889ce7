// Records of a store that was made when fewer spellings of a URL were one topic or callback (WIRE "Words"). Their ids are those of
// then, so no request finds them. The log says so when the shard is taken, until their publishers and subscribers have come again.
import { getLogger } from "@logtape/logtape";
import { isLive } from "../state/records.ts";
import type { Replica } from "../replica/replica.ts";
import type { OldRecord, ShardState } from "../replica/states.ts";
import { subscriptionIdOf, topicIdOf } from "../state/ids.ts";

const MOST_NAMED = 5;

const logger = getLogger(["tidings", "core", "consolidator"]);

/** One WARN that names a few of them, if there are any. */
export async function warnOfOldIds(
  shard: number,
  { oldRecords = [] }: Pick<ShardState, "oldRecords">,
  replica: Pick<Replica, "topic" | "subscription">,
): Promise<void> {
  const { count, named } = await unreachable(oldRecords, replica);
  if (count === 0) return;
  logger.warn(
    "{count} topics and subscriptions of shard {shard} have ids that their URLs no longer have, as more spellings of a URL are one now; " +
      "requests do not find them. Register these topics and subscribe these callbacks again: {named}",
    { shard, count, named },
  );
}

/** How many of the records have no successor under their spelling's id, and the names of a few. */
export async function unreachable(
  records: readonly OldRecord[],
  replica: Pick<Replica, "topic" | "subscription">,
): Promise<{ readonly count: number; readonly named: string }> {
  const named: string[] = [];
  let count = 0;
  for (const record of records) {
    if (await hasComeAgain(record, replica)) continue;
    const { topic, callback } = record;
    if (++count <= MOST_NAMED) {
      named.push(`topic ${topic}${callback === undefined ? "" : ` with callback ${callback}`}`);
    }
  }
  return { count, named: named.join("; ") + (count > MOST_NAMED ? "; …" : "") };
}

/** Whether there is a record under the id that the spelling has now. */
async function hasComeAgain({ topic, callback }: OldRecord, replica: Pick<Replica, "topic" | "subscription">) {
  if (callback === undefined) {
    const record = await replica.topic(topicIdOf(topic));
    return record !== undefined && record.endedAt === undefined;
  }
  const record = await replica.subscription(subscriptionIdOf(topic, callback));
  return record !== undefined && isLive(record.phase);
}
