// hub.start: where a new subscription begins in its topic's log (WIRE §2).
import type { TopicRecord } from "../state/records.ts";
import { CursorError, decodeCursor } from "../messages/cursor.ts";
import type { Log } from "../log/log.ts";
import { isIsoTime, pastTime } from "./iso-time.ts";
import { Refusal } from "./refusal.ts";
import type { Topic } from "./topics.ts";

/**
 * The offset that `hub.start` names; undefined for `latest`. Never before the topic's own beginning.
 * @throws {Refusal} "invalid_request"
 */
export async function startOf(
  start: string,
  { log, topic, record, now }: { log: Log; topic: Topic; record: TopicRecord | undefined; now: number },
): Promise<number | undefined> {
  if (start === "latest") return undefined;
  const { partition } = topic;
  const beginning = Math.max(record?.start ?? 0, await log.start("messages", partition));
  // A topic that is not there yet has no earlier messages; those of a namesake that was deregistered are not its own.
  const own = (offset: number) => record === undefined ? undefined : Math.max(beginning, offset);
  if (start === "earliest") return own(0);
  if (isIsoTime(start)) {
    const time = pastTime("hub.start", start, now);
    return own(await log.positionAt("messages", partition, time));
  }
  try {
    const { partition: named, offset } = decodeCursor(topic.id, start);
    if (named !== partition || offset >= await log.end("messages", partition)) {
      throw new CursorError("is beyond the end of the topic");
    }
    return own(offset + 1);
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    throw new Refusal(
      "invalid_request",
      `hub.start must be latest, earliest, an ISO-8601 time or a cursor; "${start.slice(0, 64)}" ${error.message}`,
    );
  }
}
