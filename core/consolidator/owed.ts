// What records say is owed to the world outside (a notice, a verification, a fetch): done after the commit, for each once at
// a time, until a later fold says that it was done (A3.10). All of it may happen twice.
import type { ResultEvent } from "./events.ts";
import { foldOwnResult } from "./fold-subscription.ts";
import { foldFetched } from "./fold-topic.ts";
import type { Fetched, Notice, PendingIntent, SubscriptionRecord, TopicRecord } from "./records.ts";
import { type ShardRecords, TAKEOVER_MS } from "./shard-records.ts";

/** What runs after a commit; each reports back by a finding, and may run twice. */
export interface Effects {
  /** Sends the denied notice, then calls `noticeSent`. */
  notify(notice: Notice, sent: () => void): void;
  /** Verifies what no edge brought a result of; `found` gets the result to fold. */
  verify(intent: PendingIntent, found: (result: ResultEvent) => void): void;
  /** Fetches a topic that was pinged. */
  fetch(topicId: string, topic: TopicRecord, fetched: (ping: number, fetched: Fetched | undefined) => void): void;
  /** Another ping came while its fetch pauses between tries. */
  hurry(topicId: string): void;
}

export interface OwedOptions {
  readonly effects: Effects;
  readonly records: ShardRecords;
  /** Runs what was found out in the next step of the shard's loop. */
  readonly find: (finding: () => void) => void;
  readonly setSubscription: (id: string, record: SubscriptionRecord) => void;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export class Owed {
  readonly #options: OwedOptions;
  #effects: (() => void)[] = [];
  readonly #notifying = new Set<string>();
  readonly #verifying = new Set<string>();
  readonly #fetching = new Set<string>();

  constructor(options: OwedOptions) {
    this.#options = options;
  }

  /** Something to do after the next commit. */
  push(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** The commit is done. */
  flush(): void {
    for (const effect of this.#effects.splice(0)) effect();
  }

  subscription(id: string, record: SubscriptionRecord): void {
    if (record.notice !== undefined && !this.#notifying.has(id)) this.#notify(id);
    if (record.pending.some(this.#isOverdue) && !this.#verifying.has(id)) this.#verify(id);
  }

  topic(id: string, record: TopicRecord): void {
    const { effects, records, find, now } = this.#options;
    if (record.fetchOwed === undefined) return;
    if (this.#fetching.has(id)) return this.push(() => effects.hurry(id));
    this.#fetching.add(id);
    this.push(() => {
      const owed = records.topics.get(id);
      if (owed?.fetchOwed === undefined) return void this.#fetching.delete(id);
      effects.fetch(id, owed, (ping, fetched) => {
        this.#fetching.delete(id);
        find(() => {
          const before = records.topics.get(id);
          if (before === undefined || before.endedAt !== undefined) return;
          const after = foldFetched(before, ping, fetched, now());
          if (after === before) return;
          records.setTopic(id, after);
          this.topic(id, after);
        });
      });
    });
  }

  readonly #isOverdue = (intent: PendingIntent): boolean => intent.time + TAKEOVER_MS <= this.#options.now();

  #notify(id: string): void {
    const { effects, records, find } = this.#options;
    this.#notifying.add(id);
    this.push(() => {
      // A subscribe that was folded with it takes it back: "denied" would say that there is no subscription.
      const notice = records.subscriptions.get(id)?.notice;
      if (notice === undefined) return void this.#notifying.delete(id);
      effects.notify(notice, () => {
        this.#notifying.delete(id);
        find(() => this.#noticeSent(id, notice));
      });
    });
  }

  #noticeSent(id: string, sent: Notice): void {
    const record = this.#options.records.subscriptions.get(id);
    if (record?.notice === undefined) return;
    if (record.notice.reason !== sent.reason || record.notice.callback !== sent.callback) {
      // Another one is owed meanwhile.
      return this.subscription(id, record);
    }
    const { notice: _, ...rest } = record;
    this.#options.setSubscription(id, rest);
  }

  #verify(id: string): void {
    const { effects, records, find, setSubscription } = this.#options;
    this.#verifying.add(id);
    this.push(() => {
      const overdue = records.subscriptions.get(id)?.pending.find(this.#isOverdue);
      if (overdue === undefined) return void this.#verifying.delete(id);
      effects.verify(overdue, (result) => {
        this.#verifying.delete(id);
        find(() => {
          const before = records.subscriptions.get(id);
          if (before === undefined) return;
          const after = foldOwnResult(before, result);
          if (after !== before) setSubscription(id, after);
          else this.subscription(id, before);
        });
      });
    });
  }
}
