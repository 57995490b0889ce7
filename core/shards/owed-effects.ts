// What records say is owed to the world outside (a notice, a verification, a fetch, a replay): done after the commit, for each once at
// a time, until a later fold says that it was done (A3.10). All of it may happen twice.
import type { Message } from "../messages/message.ts";
import type { Outcome } from "../delivery/lane/outcome.ts";
import type { ResultEvent } from "../state/events.ts";
import { foldOwnResult, foldReplayed } from "../state/fold-subscription.ts";
import { foldFetched } from "../state/fold-topic.ts";
import type { Fetched, Notice, PendingIntent, Replay, SubscriptionRecord, TopicRecord } from "../state/records.ts";
import { type ShardRecords, TAKEOVER_MS } from "./folded-state.ts";

/** What runs after a commit; each reports back by a finding, and may run twice. */
export interface Effects {
  /** Sends the denied notice, then calls `noticeSent`. */
  notify(notice: Notice, sent: () => void): void;
  /** Verifies what no edge brought a result of; `found` gets the result to fold. */
  verify(intent: PendingIntent, found: (result: ResultEvent) => void): void;
  /** Fetches a topic that was pinged. `mayAct`: whether what it brought may still be published, asked right before (A3.4). */
  fetch(
    topicId: string,
    topic: TopicRecord,
    fetched: (ping: number, fetched: Fetched | undefined) => void,
    mayAct: () => boolean,
  ): void;
  /** Deals with the next dead letter of the replay that is owed first; `replayed` gets what came of it. */
  replay(owed: OwedReplay, replayed: (result: ReplayResult) => void): void;
  /** Another ping came while its fetch pauses between tries. */
  hurry(topicId: string): void;
}

/** A replay of which at least one dead letter may be left. */
export interface OwedReplay {
  readonly subscriptionId: string;
  readonly life: number;
  readonly replay: Replay;
  /** Whether it is owed still: the subscription may end, or its lease be over. */
  readonly isOwed: () => boolean;
  /** One attempt beside the subscription's lane; undefined if none may start now. */
  readonly send: (message: Message) => Promise<Outcome> | undefined;
}

export type ReplayResult =
  /** The letter at this place was taken, or stays what it is. */
  | { readonly kind: "delivered" | "kept"; readonly place: number }
  /** No letter is left of it. */
  | { readonly kind: "none" }
  /** It is not owed any more. */
  | { readonly kind: "over" };

export interface OwedOptions {
  readonly effects: Effects;
  readonly records: ShardRecords;
  /** Runs what was found out in the next step of the shard's loop. */
  readonly find: (finding: () => void) => void;
  readonly setSubscription: (id: string, record: SubscriptionRecord) => void;
  /** One attempt beside a subscription's lane of this life; undefined if none may start now. */
  readonly sendBeside: (id: string, life: number, message: Message) => Promise<Outcome> | undefined;
  /** Whether the shard is still this process's, for sure (A3.4). */
  readonly mayAct: () => boolean;
  /** Writes, with what is found next, that this dead letter is one no more. */
  readonly forgetLetter: (id: string, place: number) => void;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export class Owed {
  readonly #options: OwedOptions;
  #effects: (() => void)[] = [];
  #committed: (() => void)[] = [];
  readonly #notifying = new Set<string>();
  readonly #verifying = new Set<string>();
  readonly #fetching = new Set<string>();
  readonly #replaying = new Set<string>();

  constructor(options: OwedOptions) {
    this.#options = options;
  }

  /** Something to do after the next commit. */
  push(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** The commit is done. */
  flush(): void {
    this.#committed.push(...this.#effects.splice(0));
    this.act();
  }

  /** Does what follows commits that were made; in doubt whether the shard is still here, it waits (A3.4). */
  act(): void {
    if (this.#committed.length === 0 || !this.#options.mayAct()) return;
    for (const effect of this.#committed.splice(0)) effect();
  }

  subscription(id: string, record: SubscriptionRecord): void {
    if (record.notice !== undefined && !this.#notifying.has(id)) this.#notify(id);
    if (record.pending.some(this.#isOverdue) && !this.#verifying.has(id)) this.#verify(id);
    if (record.replays !== undefined && isOwed(record, record.life) && !this.#replaying.has(id)) this.#replay(id);
  }

  topic(id: string, record: TopicRecord): void {
    const { effects, records, find, clock, mayAct } = this.#options;
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
          const after = foldFetched(before, ping, fetched, clock());
          if (after === before) return;
          records.setTopic(id, after);
          this.topic(id, after);
        });
      }, mayAct);
    });
  }

  /** One letter after the other: each is written as dealt with before the next is sent. */
  #replay(id: string): void {
    const { effects, records, find, setSubscription, sendBeside, forgetLetter } = this.#options;
    this.#replaying.add(id);
    this.push(() => {
      const record = records.subscriptions.get(id);
      const replay = record?.replays?.[0];
      if (record === undefined || replay === undefined) return void this.#replaying.delete(id);
      const { life } = record;
      const owed = {
        subscriptionId: id,
        life,
        replay,
        isOwed: () => isOwed(records.subscriptions.get(id), life),
        send: (message: Message) => sendBeside(id, life, message),
      };
      effects.replay(owed, (result) => {
        this.#replaying.delete(id);
        find(() => {
          const before = records.subscriptions.get(id);
          if (before === undefined) return;
          // Of an earlier life: this one's replays are its own.
          if (before.life !== life || result.kind === "over") return this.subscription(id, before);
          if (result.kind === "delivered") forgetLetter(id, result.place);
          setSubscription(id, foldReplayed(before, result.kind === "none" ? undefined : result.place + 1));
        });
      });
    });
  }

  /** A mark that did not count was no edge's to verify (WIRE §2). */
  readonly #isOverdue = ({ time, marked }: PendingIntent): boolean =>
    marked === true || time + TAKEOVER_MS <= this.#options.clock();

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

function isOwed(record: SubscriptionRecord | undefined, life: number): boolean {
  return record?.phase === "active" && record.life === life && record.replays !== undefined;
}
