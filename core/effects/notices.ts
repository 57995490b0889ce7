// Denied notices (§5.2): each is owed, so it waits as long as it takes. Their places are shared by who asked and whose callback it is:
// callbacks that never answer are not felt by those to others. A callback that cannot be called counts for no host.
import { deniedUrl } from "../../shared/outbound/callback-query.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { pause } from "../../shared/pause.ts";
import { FairPool, type FairPoolOptions, NoPlaceError } from "../../shared/shares/fair-pool.ts";
import { hostOfUrl } from "../../shared/shares/host-of.ts";
import { requesterOf } from "../../shared/shares/requester.ts";
import type { Standing } from "../../shared/shares/standing.ts";
import type { Notice } from "../state/records.ts";

/** First tries under way, and tries after one that nobody answered. */
const PLACES: FairPoolOptions = {
  most: 64,
  of: { proven: 0, slow: 0, new: 48, failing: 16 },
  mostWaiting: Infinity,
};
const NOTICE_MS = 10_000;
/** Pauses before further tries, after a try without a complete answer; what an answer says is ignored (§5.2). */
const PAUSES_MS = [1_000, 4_000];

/** Sends notices; each resolves when it was answered or given up, or when the process stops. */
export function createNotices(outbound: Outbound, signal: AbortSignal): (notice: Notice) => Promise<void> {
  const places = new FairPool(PLACES);

  /** One try, in its turn: a notice that pauses holds no place. @throws {NoPlaceError} if the process is stopping */
  async function isHeard({ topic, callback, reason, ...asking }: Notice, standing: Standing): Promise<boolean> {
    const claim = { requester: requesterOf(asking), host: hostOfUrl(callback), standing };
    const url = deniedUrl(callback, topic, reason);
    const limits = { deadlineMs: NOTICE_MS, maxBytes: 65_536, signal };
    const request = { path: "notice", method: "GET", url, requester: claim.requester, ...limits } as const;
    const answer = await places.run(claim, () => outbound.call(request), { waitMs: Infinity, signal });
    return answer.kind === "answer" || answer.code === "too_large" || answer.code === "forbidden";
  }

  return async (notice) => {
    try {
      if (await isHeard(notice, "new")) return;
      for (const pauseMs of PAUSES_MS) {
        await pause(pauseMs, signal);
        if (await isHeard(notice, "failing")) return;
      }
    } catch (error) {
      if (!(error instanceof NoPlaceError)) throw error;
    }
  };
}
