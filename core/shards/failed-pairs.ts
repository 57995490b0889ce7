// The pairs of a shard that never were verified, and whose last verification failed (WIRE §5). Anyone can make such pairs, so their
// number and the size of their records are bounded: those of who has the most are forgotten first, and of these the oldest.
import { requesterOf } from "../../shared/shares/requester.ts";
import type { SubscriptionRecord } from "../state/records.ts";

export const MOST_PAIRS = 10_000;
export const MOST_BYTES = 8 * 1024 * 1024;
/** Over a bound, so many of them are forgotten that there is room for others: they need not be sorted each time. */
const KEPT_SHARE = 0.9;
/** What a record takes beside its texts, about. */
const RECORD_BYTES = 256;

interface Failed {
  readonly at: number;
  /** Who asked last. */
  readonly requester: string;
  readonly bytes: number;
}

export class FailedPairs {
  readonly #pairs = new Map<string, Failed>();
  #bytes = 0;

  get size(): number {
    return this.#pairs.size;
  }

  /** The record of this id is now this one; undefined: it was deleted. */
  note(id: string, record: SubscriptionRecord | undefined): void {
    const known = this.#pairs.get(id);
    if (known !== undefined) {
      this.#pairs.delete(id);
      this.#bytes -= known.bytes;
    }
    if (record?.phase !== "pending" || record.lastVerification === undefined) return;
    const { at, others = [] } = record.lastVerification;
    const texts = [record.lastVerification, ...others].flatMap(({ reason, by }) => {
      return [reason, by?.secret, by?.client?.issuer, by?.client?.userId];
    });
    const bytes = [record.topic, record.callback, ...texts]
      .reduce((sum, text) => sum + (text?.length ?? 0), RECORD_BYTES * (1 + others.length));
    this.#pairs.set(id, { at, requester: requesterOf(record.lastVerification.by ?? {}), bytes });
    this.#bytes += bytes;
  }

  /** Takes out pairs if there are too many; the caller forgets their failures. */
  takeExcess(): readonly string[] {
    if (this.#pairs.size <= MOST_PAIRS && this.#bytes <= MOST_BYTES) return [];
    const taken: string[] = [];
    for (const { id, bytes } of this.#inTurn()) {
      if (this.#pairs.size <= MOST_PAIRS * KEPT_SHARE && this.#bytes <= MOST_BYTES * KEPT_SHARE) break;
      this.#pairs.delete(id);
      this.#bytes -= bytes;
      taken.push(id);
    }
    return taken;
  }

  /** In the order in which they are forgotten: what a requester has beyond all others first, then the oldest. */
  #inTurn(): readonly { readonly id: string; readonly bytes: number }[] {
    const counts = new Map<string, number>();
    const newestFirst = [...this.#pairs].sort(([, one], [, other]) => other.at - one.at);
    return newestFirst
      .map(([id, { at, requester, bytes }]) => {
        const rank = counts.get(requester) ?? 0;
        counts.set(requester, rank + 1);
        return { id, at, bytes, rank };
      })
      .sort((one, other) => other.rank - one.rank || one.at - other.at);
  }
}
