// resume: push again at once, from where the subscription stands or from a named position (WIRE §5).
import type { ResumeOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import { rememberedRequests, SIGNATURE_KEPT_MS } from "../state/acted-requests.ts";
import type { ResumeEvent } from "../state/events.ts";
import type { KnownSubscription } from "./admission.ts";
import { FROM, offsetOf, parsePosition } from "./named-position.ts";
import { refuseTooMany, requestHash } from "./remembered-requests.ts";

const RETRIES_KEPT_MS = 120_000;

/**
 * The event of a resume; undefined if the request has acted already. `time` is ms since 1970.
 * @throws {Refusal} "invalid_request" naming `from`; "too_many"
 */
export async function resumeEvent(
  { id, topic, callback, caller, from }: ResumeOperation,
  subscription: KnownSubscription,
  { log, time }: { readonly log: Pick<Log, "end" | "positionAt">; readonly time: number },
): Promise<ResumeEvent | undefined> {
  const { record } = subscription;
  // What is signed acts once (WIRE §5).
  const once = caller.kind === "signature"
    ? { id: `sig_${requestHash(caller.signature)}`, keptMs: SIGNATURE_KEPT_MS }
    : { id, keptMs: RETRIES_KEPT_MS };
  const remembered = rememberedRequests(record, time);
  if (remembered.some(([other]) => other === once.id)) return undefined;
  refuseTooMany(remembered);
  const resume = { type: "resume", time, topic, callback, ...once } as const;
  if (from === undefined) return resume;
  const position = parsePosition(FROM, from, subscription.topic, time);
  // WIRE §5: never before the subscription's start.
  return { ...resume, from: Math.max(record.start, await offsetOf(position, subscription.topic, log)) };
}
