// What is folded into a shard's state: events, what the owner finds out itself (A3.5), and what time brings (A3.7). In the same step
// lanes follow the records, and effects that the records call for are noted.
import { nextTurn, TURN_MS } from "../../shared/turn.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/lane/lane.ts";
import type { QuietTopics } from "../delivery/reading/reading.ts";
import type { DeregisterEvent, HubEvent, TopicEvent } from "../state/events.ts";
import { ended, foldDeregistered, foldOwnResult, foldReplayed, foldSubscription } from "../state/fold-subscription.ts";
import { foldFetched, foldTopic } from "../state/fold-topic.ts";
import { subscriptionIdOf, topicIdOf } from "../state/ids.ts";
import { used } from "../state/topic-use.ts";
import { foldLease } from "../state/lease.ts";
import { isLive, type Notice, type SubscriptionRecord, type TopicRecord } from "../state/records.ts";
import type { BatchComposer } from "./batch-composer.ts";
import { replayedRecord } from "./dead-letter-records.ts";
import type { ReplayResult } from "./effects-port.ts";
import type { Finding, Findings } from "./findings.ts";
import type { FoldedState } from "./folded-state.ts";
import type { LaneBook } from "./lane-book.ts";
import type { LifeLines } from "./life-lines.ts";
import type { OwedEffects } from "./owed-effects.ts";

export interface ShardFoldOptions {
  readonly state: FoldedState;
  readonly book: LaneBook;
  readonly batch: Pick<BatchComposer, "put">;
  readonly effects: OwedEffects;
  readonly findings: Findings;
  readonly life: Pick<LifeLines, "changed">;
  /** Whether the shard was released or dropped, or is being released or dropped. */
  readonly isOver: () => boolean;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Subscriptions that end in one transaction at most (A3.9). */
export const MOST_ENDED = 1_000;

export class ShardFold {
  readonly #options: ShardFoldOptions;
  /** All lanes run, or are joining the tail. */
  #isAttached = false;
  /** Subscriptions whose lanes open after the next commit. */
  readonly #opening = new Set<string>();
  /** Topics and subscriptions whose time may have come: after a long absence there may be many, and they end in slices. */
  #due: string[] = [];
  /** Subscriptions in `#due` because their lanes found the lease to be over. */
  readonly #overdue = new Set<string>();

  constructor(options: ShardFoldOptions) {
    this.#options = options;
  }

  /** Lets lanes run: the lanes of all subscriptions join the tail as a group, in turns. Notes the effects that are owed. */
  async attach(delivery: Delivery, quiet: QuietTopics | undefined): Promise<void> {
    const { state, book, effects, isOver } = this.#options;
    this.#isAttached = true;
    book.attach(delivery);
    let turn = performance.now();
    // A copy: others may begin or end between the turns.
    const ids = [...state.subscriptions.keys()];
    for (const id of ids) {
      const record = state.subscriptions.get(id);
      // A subscription that began meanwhile opens when it is committed, as always.
      if (record === undefined || this.#opening.has(id)) continue;
      if (record.phase === "active" && book.lane(id) === undefined) book.open(id, record, { quiet });
      effects.subscription(id, record);
      state.noteDates(id, record);
      if (performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      if (isOver()) return;
      turn = performance.now();
    }
    for (const [id, record] of state.topics) effects.topic(id, record);
  }

  // ── events ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Folds the event at this `events` offset; a deregister ends the topic only. */
  event(event: HubEvent, offset: number): void {
    const { state, book, batch } = this.#options;
    switch (event.type) {
      case "intent":
      case "result":
      case "replay":
      case "revoke":
      case "resume": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = state.subscriptions.get(id);
        const after = foldSubscription(before, event, offset);
        if (after === before || after === undefined) return;
        this.#setSubscription(id, after, event);
        if (event.type === "resume") batch.put(...book.rewind(id, after, event.from));
        return;
      }
      case "ack": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = state.subscriptions.get(id);
        if (before === undefined || !isLive(before.phase)) return;
        const after = foldSubscription(before, event, offset) ?? before;
        if (after !== before) this.#setSubscription(id, after, event);
        // A signed ack acts once (A3.8). Of another one a second copy finds the position there already.
        else if (event.signed !== undefined) return;
        return batch.put(...book.advance(id, after, event.next));
      }
      case "deregister":
      case "register":
      case "ping":
        return this.#topicEvent(event, offset);
    }
  }

  /** Ends a subscription to a topic that the event at this `events` offset deregisters (A3.9). */
  endDeregistered(id: string, event: DeregisterEvent, offset: number): void {
    const before = this.#options.state.subscriptions.get(id);
    if (before === undefined) return;
    const after = foldDeregistered(before, `topic "${event.topic}" was deregistered`, event.time, offset);
    if (after !== before) this.#setSubscription(id, after);
  }

  #topicEvent(event: TopicEvent, offset: number): void {
    const id = topicIdOf(event.topic);
    const before = this.#options.state.topics.get(id);
    const after = foldTopic(before, event, offset);
    if (after !== before && after !== undefined) this.#setTopic(id, after);
  }

  // ── findings ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A callback answered 410. */
  gone(lane: Lane): void {
    const { id, life } = lane;
    this.#options.findings.add({ kind: "gone", id, life, stoodAt: lane.position(lane.readFrom) });
  }

  /** Folds what was found out since the last step. */
  foldFindings(): void {
    for (const finding of this.#options.findings.drain()) this.#foldFinding(finding);
  }

  #foldTopicFinding(finding: Extract<Finding, { readonly topicId: string }>): void {
    const { state, clock } = this.#options;
    const { topicId } = finding;
    const before = state.topics.get(topicId);
    if (before === undefined || before.endedAt !== undefined) return;
    if (finding.kind === "topicUnused") return state.forgetUnused(topicId, finding.usedAt);
    const after = finding.kind === "topicUsed"
      ? used(before, finding.at)
      : foldFetched(before, finding.ping, finding.fetched, clock());
    if (after !== before) this.#setTopic(topicId, after);
  }

  #foldFinding(finding: Finding): void {
    const { state, effects } = this.#options;
    if ("topicId" in finding) return this.#foldTopicFinding(finding);
    const { id } = finding;
    const before = state.subscriptions.get(id);
    if (before === undefined) return;
    switch (finding.kind) {
      case "gone":
        if (!isLive(before.phase) || before.life !== finding.life) return;
        return this.#foldGone(id, before, finding.stoodAt);
      case "noticeSent":
        return this.#foldNoticeSent(id, before, finding.notice);
      case "verified": {
        const after = foldOwnResult(before, finding.result);
        return after === before ? effects.subscription(id, before) : this.#setSubscription(id, after, finding.result);
      }
      case "replayed":
        return this.#foldReplayed(id, before, finding.life, finding.result);
      case "resealed":
        // A renewal may have brought another secret meanwhile.
        if (before.secret === finding.before) state.setSubscription(id, { ...before, secret: finding.after });
        return;
    }
  }

  /**
   * Intents that wait to be verified stay: their subscriber may have said yes after the 410. As after an unsubscribe, the next life
   * gets nothing that this one had (§6.2).
   */
  #foldGone(id: string, before: SubscriptionRecord, stoodAt: number): void {
    const { pending, version, unsubscribedAt = 0 } = before;
    const gone = ended(before, "gone", this.#options.clock(), version);
    this.#setSubscription(id, { ...gone, pending, unsubscribedAt: Math.max(unsubscribedAt, stoodAt) });
  }

  #foldNoticeSent(id: string, before: SubscriptionRecord, sent: Notice): void {
    const { notice, ...rest } = before;
    if (notice === undefined) return;
    // Another notice may be owed meanwhile.
    const isOther = notice.reason !== sent.reason || notice.callback !== sent.callback;
    if (isOther) this.#options.effects.subscription(id, before);
    else this.#setSubscription(id, rest);
  }

  #foldReplayed(id: string, before: SubscriptionRecord, life: number, result: ReplayResult): void {
    // A replay of an earlier life leaves this life's replays alone.
    if (before.life !== life || result.kind === "over") return this.#options.effects.subscription(id, before);
    if (result.kind === "delivered") {
      this.#options.batch.put(replayedRecord(id, result.place));
    }
    this.#setSubscription(id, foldReplayed(before, result.kind === "none" ? undefined : result.place + 1));
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A lane that was about to send found its lease over. */
  leaseOver({ id }: Lane): void {
    // The lane says so at every message until this is folded, which may take long (a full disk).
    if (this.#overdue.has(id)) return;
    this.#overdue.add(id);
    this.#due.push(id);
  }

  /** Notes the topics and subscriptions whose time may have come. Returns whether there are any. */
  collectDue(): boolean {
    this.#due = this.#due.concat(this.#options.state.due());
    return this.hasDue;
  }
  get hasDue(): boolean {
    return this.#due.length > 0;
  }
  /** Examines a slice of these topics and subscriptions. */
  foldDue(): void {
    for (const key of this.#due.splice(0, MOST_ENDED)) this.#foldDue(key);
  }

  #foldDue(key: string): void {
    const { state, book, batch, effects, clock } = this.#options;
    this.#overdue.delete(key);
    state.forgetTopic(key);
    const record = state.subscriptions.get(key);
    if (record === undefined) return state.noteDates(key);
    const after = foldLease(record, clock());
    // The position is kept for a renewal.
    if (after !== record) return this.#setSubscription(key, after);
    if (state.forgetSubscription(key)) return batch.put(...book.end(key));
    effects.subscription(key, record);
    state.noteDates(key);
  }

  // ── what follows a record ──────────────────────────────────────────────────────────────────────────────────────────

  #setTopic(id: string, record: TopicRecord): void {
    const { state, effects } = this.#options;
    state.setTopic(id, record);
    effects.topic(id, record);
  }

  /** The lane follows in the same step, except that a new one waits for the commit. `event`: what the record changed by. */
  #setSubscription(id: string, record: SubscriptionRecord, event?: HubEvent): void {
    const { state, book, batch, effects, life } = this.#options;
    const before = state.subscriptions.get(id);
    life.changed(before, record, event);
    state.setSubscription(id, record);
    effects.subscription(id, record);
    const lane = book.lane(id);
    if (record.phase === "active") {
      if (lane !== undefined && lane.life === record.life && lane.state !== "expired") {
        // Nothing is sent under the old secret from here on (§6.5).
        if (before?.verified !== record.verified) book.renew(lane, record);
        return;
      }
      // Only a life that begins needs its record: a life that goes on has one, or is done up to the watermark (A4.3).
      if (before?.life !== record.life) batch.put(...book.begin(id, record.life, record.start));
      if (this.#isAttached) this.#openAfterCommit(id);
    } else if (record.phase === "expired") batch.put(...book.expire(id));
    else if (record.phase !== "pending") batch.put(...book.end(id));
  }

  #openAfterCommit(id: string): void {
    const { state, book, effects } = this.#options;
    this.#opening.add(id);
    effects.afterCommit(() => {
      this.#opening.delete(id);
      const current = state.subscriptions.get(id);
      const running = book.lane(id);
      if (current?.phase !== "active") return;
      if (running?.life !== current.life || running.state === "expired") book.open(id, current);
    });
  }
}
