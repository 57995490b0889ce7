// Topics that no register made come with a subscribe, content or a ping, in `public` access with those of strangers. Their shard's owner
// forgets one that nobody has needed for RETENTION: it has no subscription, and no message that retention keeps. It comes back as it came
// (WIRE §1), so nothing is lost if it is needed at the same moment.
import { getLogger } from "@logtape/logtape";
import { type UnusedAfter, unusedAfter, wasMadeByUse } from "../state/topic-use.ts";
import type { Findings } from "./findings.ts";
import type { FoldedState } from "./folded-state.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

export interface UnusedTopicsOptions {
  readonly state: Pick<FoldedState, "topics">;
  /** Which of these topics have a subscription that is live or waits for verification, in any shard. It may be a moment old. */
  readonly subscribedOf: (topicIds: readonly string[]) => Promise<ReadonlySet<string>>;
  /** Gets the topics that are needed, and those that are not. */
  readonly findings: Findings;
  readonly retentionMs: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Topics looked at, and asked about, in one step. A shard makes one step a second. */
const MOST_LOOKED_AT = 10_000;
const MOST_ASKED = 500;

export class UnusedTopics {
  readonly #options: UnusedTopicsOptions;
  readonly #after: UnusedAfter;
  #walk: Iterator<string> | undefined;
  #restUntil = 0;
  #isAsking = false;

  constructor(options: UnusedTopicsOptions) {
    this.#options = options;
    this.#after = unusedAfter(options.retentionMs);
  }

  /** Looks at some topics. Resolves when what was found out is noted; never rejects. */
  async step(): Promise<void> {
    const { state, findings, clock } = this.#options;
    const now = clock();
    if (this.#isAsking || now < this.#restUntil) return;
    this.#walk ??= state.topics.keys();
    const asked: string[] = [];
    let noted = 0;
    for (let looked = 0; looked < MOST_LOOKED_AT && asked.length + noted < MOST_ASKED; looked++) {
      const { done, value: topicId } = this.#walk.next();
      if (done) {
        this.#walk = undefined;
        this.#restUntil = now + this.#after.lookMs;
        break;
      }
      const record = state.topics.get(topicId)!;
      if (!wasMadeByUse(record)) continue;
      if (record.usedAt === undefined) {
        // Of a core before this one: it counts as used from now on.
        findings.add({ kind: "topicUsed", topicId, at: now });
        noted++;
      } else if (record.usedAt + this.#after.noteMs <= now) asked.push(topicId);
    }
    if (asked.length > 0) await this.#ask(asked, now);
  }

  async #ask(topicIds: readonly string[], now: number): Promise<void> {
    const { state, findings, subscribedOf } = this.#options;
    this.#isAsking = true;
    try {
      const subscribed = await subscribedOf(topicIds);
      for (const topicId of topicIds) {
        const usedAt = state.topics.get(topicId)?.usedAt;
        if (usedAt === undefined) continue;
        if (subscribed.has(topicId)) findings.add({ kind: "topicUsed", topicId, at: now });
        else if (usedAt + this.#after.forgetMs <= now) findings.add({ kind: "topicUnused", topicId, usedAt });
      }
    } catch (error) {
      // The next round asks again. A process that ends has closed its replica.
      logger.debug("Unused topics were not looked for: {error}", { error });
    } finally {
      this.#isAsking = false;
    }
  }
}
