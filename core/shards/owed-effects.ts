// The effects that records call for: a notice, a verification, a fetch, a replay (A3.10). Each runs after the commit that calls for
// it, until a later fold says that it was done. For one record each kind runs once at a time, and verifications once for each requester.
// All may happen twice.
import { requesterOf } from "../../shared/shares/requester.ts";
import { isReplayOwed } from "../state/fold-subscription.ts";
import type { PendingIntent, SubscriptionRecord, TopicRecord } from "../state/records.ts";
import type { Effects } from "./effects-port.ts";
import type { Findings } from "./findings.ts";
import { type FoldedState, TAKEOVER_MS } from "./folded-state.ts";
import type { LaneBook } from "./lane-book.ts";

export interface OwedEffectsOptions {
  readonly effects: Effects;
  readonly state: FoldedState;
  readonly book: Pick<LaneBook, "replay">;
  /** Gets what comes of the effects. */
  readonly findings: Findings;
  /** Whether this process certainly still has the shard (A3.4). */
  readonly mayAct: () => boolean;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export class OwedEffects {
  readonly #options: OwedEffectsOptions;
  /** Effects that wait for the next commit, and effects whose commit is made. */
  #uncommitted: (() => void)[] = [];
  #committed: (() => void)[] = [];
  /** Ids of subscriptions and topics whose effects are under way, or wait for the commit. For verifications: with the requester (`lineOf`). */
  readonly #notifying = new Set<string>();
  readonly #verifying = new Set<string>();
  readonly #fetching = new Set<string>();
  readonly #replaying = new Set<string>();

  constructor(options: OwedEffectsOptions) {
    this.#options = options;
  }

  // ── when they run ──────────────────────────────────────────────────────────────────────────────────────────────────

  afterCommit(effect: () => void): void {
    this.#uncommitted.push(effect);
  }

  /** The commit is made. */
  committed(): void {
    this.#committed.push(...this.#uncommitted.splice(0));
    this.act();
  }

  /** Does what waits for commits that are made. While it is uncertain that the shard is still here, it goes on waiting (A3.4). */
  act(): void {
    if (this.#committed.length === 0 || !this.#options.mayAct()) return;
    for (const effect of this.#committed.splice(0)) effect();
  }

  // ── what records call for ──────────────────────────────────────────────────────────────────────────────────────────

  /** The subscription's record is now this one. */
  subscription(id: string, record: SubscriptionRecord): void {
    if (record.notice !== undefined && !this.#notifying.has(id)) this.#notify(id);
    for (const intent of record.pending) {
      if (this.#isOverdue(intent) && !this.#verifying.has(lineOf(id, intent))) this.#verify(id, intent);
    }
    if (isReplayOwed(record, record.life) && !this.#replaying.has(id)) this.#replay(id);
  }

  /** The topic's record is now this one. */
  topic(topicId: string, record: TopicRecord): void {
    const { effects, state, findings, mayAct } = this.#options;
    if (record.fetchOwed === undefined) return;
    if (this.#fetching.has(topicId)) return this.afterCommit(() => effects.hurry(topicId, record));
    this.#fetching.add(topicId);
    this.afterCommit(() => {
      const owed = state.topics.get(topicId);
      if (owed?.fetchOwed === undefined) return void this.#fetching.delete(topicId);
      effects.fetch(topicId, owed, (ping, fetched) => {
        this.#fetching.delete(topicId);
        findings.add({ kind: "fetched", topicId, ping, fetched });
      }, mayAct);
    });
  }

  #notify(id: string): void {
    const { effects, state, findings } = this.#options;
    this.#notifying.add(id);
    this.afterCommit(() => {
      // A subscribe that was folded meanwhile takes the notice back: "denied" would say that there is no subscription.
      const notice = state.subscriptions.get(id)?.notice;
      if (notice === undefined) return void this.#notifying.delete(id);
      effects.notify(notice, () => {
        this.#notifying.delete(id);
        findings.add({ kind: "noticeSent", id, notice });
      });
    });
  }

  /** Verifies the intents of one requester for a pair, one after the other in log order. Requesters do not wait for each other here. */
  #verify(id: string, of: PendingIntent): void {
    const { effects, state, findings } = this.#options;
    const line = lineOf(id, of);
    this.#verifying.add(line);
    this.afterCommit(() => {
      const pending = state.subscriptions.get(id)?.pending ?? [];
      const overdue = pending.find((intent) => this.#isOverdue(intent) && lineOf(id, intent) === line);
      if (overdue === undefined) return void this.#verifying.delete(line);
      effects.verify(overdue, (result) => {
        this.#verifying.delete(line);
        findings.add({ kind: "verified", id, result });
      });
    });
  }

  /** One dead letter after the other: each is written as dealt with before the next one is sent. */
  #replay(id: string): void {
    const { effects, state, book, findings } = this.#options;
    this.#replaying.add(id);
    this.afterCommit(() => {
      const record = state.subscriptions.get(id);
      const replay = record?.replays?.[0];
      if (record === undefined || replay === undefined) return void this.#replaying.delete(id);
      const { life } = record;
      effects.replay({
        subscriptionId: id,
        life,
        replay,
        isOwed: () => isReplayOwed(state.subscriptions.get(id), life),
        send: (message) => book.replay(id, life, message),
      }, (result) => {
        this.#replaying.delete(id);
        findings.add({ kind: "replayed", id, life, result });
      });
    });
  }

  /**
   * Whether the owner is to verify the intent: no edge brought a result in time, or no edge asks, as its mark did not count
   * (WIRE §2), or it cannot pin addresses (A3.6).
   */
  readonly #isOverdue = ({ time, marked, unpinned }: PendingIntent): boolean =>
    marked === true || unpinned === true || time + TAKEOVER_MS <= this.#options.clock();
}

function lineOf(id: string, intent: PendingIntent): string {
  return `${id}\0${requesterOf(intent)}`;
}
