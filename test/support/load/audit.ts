// Compares the books with what the hub promises (ARCHITECTURE §6). Nothing here knows how the hub works, except that a cursor
// names an offset in its topic's log.

import type { Arrival, Book, Fault, Message, Pair } from "./book.ts";
import { isDelivered, isRefused } from "./manner.ts";
import {
  inForce,
  isGraceful,
  knownWishes,
  type Life,
  lifeOf,
  livesAt,
  livesOf,
  mustHaveFolded,
  settledAt,
} from "./lives.ts";

export const BREACHES = [
  "lost",
  "out of order",
  "after the end",
  "wrong secret",
  "forbidden repeat",
  "altered",
  "unexpected answer",
  "not recovered",
] as const;
export type Breach = (typeof BREACHES)[number];

export interface Violation {
  readonly breach: Breach;
  /** The same violation has the same text each time it is found. */
  readonly what: string;
}

export interface AuditOptions {
  /** A message that was refused this often (400, 413, 415, 422) is a dead letter. */
  readonly deadLetterAttempts: number;
  readonly now: number;
}

export interface Findings {
  readonly violations: readonly Violation[];
  readonly accepted: number;
  readonly arrivals: number;
  /** Deliveries of messages that had been delivered before, allowed or not. */
  readonly repeats: number;
  readonly deadLetters: number;
  /** The longest time from a message's delivery to the fault that excuses its repeat, ms. */
  readonly oldestRepeatMs: number;
}

/** The effects of a fault may come this long after its end. */
const RIPPLE_MS = 250;
/** A core that gives up a shard waits 1 s for the answers to its attempts. This is a little less, because its clock starts after ours. */
const RELEASED_AFTER_MS = 900;

/** Compares everything that came with everything that was promised. Call it when nothing more is to come. */
export function audit(book: Book, options: AuditOptions): Findings {
  const violations: Violation[] = book.unexpected.map((what) => ({ breach: "unexpected answer", what }));
  const say = (breach: Breach, what: string) => void violations.push({ breach, what });
  let [arrivals, repeats, deadLetters, oldestRepeatMs] = [0, 0, 0, 0];
  const idsAndOffsets = new Map<string, string>();
  for (const pair of book.pairs) {
    const done = doneIn(pair, options);
    const known = knownWishes(book, pair, options.now);
    arrivals += pair.arrivals.length;
    deadLetters += [...done.values()].filter(({ dead }) => dead).length;
    for (const life of livesOf(pair, known)) findLost(book, pair, life, done, say);
    findDisorder(book, pair, done, say);
    findAfterEnd(book, pair, known, say);
    const repeated = findRepeats(book, pair, done, say);
    repeats += repeated.count;
    oldestRepeatMs = Math.max(oldestRepeatMs, repeated.oldestMs);
    findAltered(book, pair, idsAndOffsets, say);
  }
  const accepted = [...book.messages.values()].filter(({ ackedAt }) => ackedAt < Infinity).length;
  return { violations, accepted, arrivals, repeats, deadLetters, oldestRepeatMs };
}

interface Done {
  readonly arrival: Arrival;
  readonly at: number;
  /** The hub gave the message up. */
  readonly dead: boolean;
}
type Say = (breach: Breach, what: string) => void;

/** By message, the arrival that ended its delivery: delivered or given up. */
function doneIn(pair: Pair, { deadLetterAttempts }: AuditOptions): Map<string, Done> {
  const done = new Map<string, Done>();
  const refusals = new Map<string, number>();
  for (const arrival of pair.arrivals) {
    const { key, status, answeredAt } = arrival;
    if (status === undefined || answeredAt === undefined || done.has(key)) continue;
    if (isDelivered(status)) done.set(key, { arrival, at: answeredAt, dead: false });
    else if (isRefused(status)) {
      // The hub counts refusals anew in each life.
      for (const life of livesAt(pair, arrival)) {
        const tried = `${life} ${key}`;
        const count = (refusals.get(tried) ?? 0) + 1;
        refusals.set(tried, count);
        if (count >= deadLetterAttempts) done.set(key, { arrival, at: answeredAt, dead: true });
      }
    }
  }
  return done;
}

/** §6.1. A subscription that ended is owed nothing, but nothing before its newest message may have been skipped. */
function findLost(book: Book, pair: Pair, life: Life, done: ReadonlyMap<string, Done>, say: Say): void {
  const { activeFrom, endsAt, begunAt } = life;
  if (activeFrom === undefined) {
    if (endsAt === Infinity) say("not recovered", `${pair.name}: nothing shows that it was subscribed at last`);
    return;
  }
  let newest = -Infinity;
  for (const arrival of pair.arrivals) {
    if (arrival.at < begunAt || arrival.at >= endsAt) continue;
    newest = Math.max(newest, book.messages.get(arrival.key)?.sentAt ?? -Infinity);
  }
  for (const message of book.byTopic.get(pair.topic) ?? []) {
    if (message.sentAt < activeFrom || message.ackedAt >= endsAt || done.has(message.key)) continue;
    if (endsAt < Infinity && message.ackedAt >= newest) continue;
    say(
      "lost",
      `${pair.name}: ${message.key} (accepted ${ms(message.ackedAt)}, active from ${ms(activeFrom)} to ${ms(endsAt)})`,
    );
  }
}

/** §6.3: first attempts, and ends of delivery, come in the order of the log. */
function findDisorder(book: Book, pair: Pair, done: ReadonlyMap<string, Done>, say: Say): void {
  const seen = new Set<string>();
  const tried = pair.arrivals.filter(({ key }) => !seen.has(key) && seen.add(key));
  const ended = pair.arrivals.filter((arrival) => done.get(arrival.key)?.arrival === arrival);
  for (const [what, arrivals] of [["was tried", tried], ["was done", ended]] as const) {
    let newest: Message | undefined;
    let furthest: Arrival | undefined;
    for (const arrival of arrivals) {
      const message = book.messages.get(arrival.key);
      if (message === undefined) continue;
      // A message that was accepted before another was sent stands before it in the log. Cursors give the order of all others.
      const after = newest !== undefined && message.ackedAt < newest.sentAt
        ? newest.key
        : furthest !== undefined && arrival.offset < furthest.offset
        ? furthest.key
        : undefined;
      if (after !== undefined) {
        say("out of order", `${pair.name}: ${message.key} ${what} at ${ms(arrival.at)} after ${after}`);
      }
      if (newest === undefined || message.sentAt > newest.sentAt) newest = message;
      if (furthest === undefined || arrival.offset > furthest.offset) furthest = arrival;
    }
  }
}

/** §6.4, §6.5: nothing from before the start or after the end, nothing under an old secret. */
function findAfterEnd(
  book: Book,
  pair: Pair,
  known: ReturnType<typeof knownWishes>,
  say: Say,
): void {
  for (const arrival of pair.arrivals) {
    const { key, at, signedWith } = arrival;
    const wishes = inForce(book, pair, known, at).filter(({ mode }) => mode === "subscribe");
    if (wishes.length === 0) say("after the end", `${pair.name}: ${key} came at ${ms(at)}`);
    else if (!wishes.some(({ secret }) => secret === signedWith)) {
      say(
        "wrong secret",
        `${pair.name}: ${key} came at ${ms(at)}, signed with ${signedWith ?? "no secret of its own"}`,
      );
    }
  }
  const firstMadeAt = pair.wishes.find(({ mode }) => mode === "subscribe")?.madeAt ?? Infinity;
  const interims = pair.wishes.flatMap((wish, index) => {
    const loggedAt = known[index]?.loggedAt;
    if (wish.mode === "subscribe" || loggedAt === undefined) return [];
    const again = pair.wishes.slice(index + 1).find(({ mode }) => mode === "subscribe");
    return [{ from: loggedAt, to: again?.madeAt ?? Infinity }];
  });
  for (const key of new Set(pair.arrivals.map((arrival) => arrival.key))) {
    const message = book.messages.get(key);
    if (message === undefined) continue;
    const { sentAt, ackedAt } = message;
    if (ackedAt < firstMadeAt) say("after the end", `${pair.name}: ${key} was published before it was subscribed`);
    if (interims.some(({ from, to }) => ackedAt < to && sentAt > from && mustHaveFolded(book, from, sentAt))) {
      say("after the end", `${pair.name}: ${key} was published while it was not subscribed (${ms(sentAt)})`);
    }
  }
}

/**
 * §6.2: a message that was answered comes again only if a core or a broker was killed or put to sleep since, or if its shard
 * moved before the answer.
 */
function findRepeats(book: Book, pair: Pair, done: ReadonlyMap<string, Done>, say: Say) {
  let [count, oldestMs] = [0, 0];
  for (const arrival of pair.arrivals) {
    const before = done.get(arrival.key);
    if (before === undefined || before.arrival === arrival || arrival.at < before.at) continue;
    // Until the hub has folded a life's end (§6.5), that life may get messages that the next life is owed.
    if (lifeOf(pair, arrival.signedWith) !== lifeOf(pair, before.arrival.signedWith)) continue;
    count += 1;
    // After a crash the hub counts a message's refusals anew.
    const since = before.dead ? firstOf(pair, arrival.key) : before.arrival.at;
    // An attempt that was under way when the core fell asleep has ended when it wakes.
    const excuses = book.faults.filter((fault) =>
      fault.target !== "edge" && fault.from <= arrival.at &&
      (fault.target === "core" && isGraceful(fault)
        ? fault.shared === true && wasUnanswered(before.arrival, fault)
        : fault.to + RIPPLE_MS >= since)
    );
    if (excuses.length === 0) {
      say("forbidden repeat", `${pair.name}: ${arrival.key} done at ${ms(before.at)} came again at ${ms(arrival.at)}`);
    } else oldestMs = Math.max(oldestMs, Math.min(...excuses.map(({ from }) => from)) - before.at);
  }
  return { count, oldestMs };
}

/** Whether an attempt was under way for as long as an owner waits for it, at a time when its shard may have moved (A3.3). */
function wasUnanswered({ at, answeredAt = Infinity }: Arrival, fault: Fault): boolean {
  return answeredAt - at > RELEASED_AFTER_MS && at <= settledAt(fault) && answeredAt >= fault.from;
}

function firstOf(pair: Pair, key: string): number {
  return pair.arrivals.find((arrival) => arrival.key === key)?.at ?? Infinity;
}

/** A body is what was published, and has one id and one offset at all subscribers. */
function findAltered(book: Book, pair: Pair, idsAndOffsets: Map<string, string>, say: Say): void {
  for (const { key, id, offset, intact } of pair.arrivals) {
    const message = book.messages.get(key);
    if (message === undefined || !intact || message.topic !== pair.topic) {
      say("altered", `${pair.name}: what came as ${key} is not what was published`);
      continue;
    }
    const known = idsAndOffsets.get(key);
    const here = `${id} at ${offset}`;
    if (known === undefined) idsAndOffsets.set(key, here);
    else if (known !== here) say("altered", `${pair.name}: ${key} is ${here}, elsewhere ${known}`);
    if (message.id !== undefined && message.id !== id) {
      say("altered", `${pair.name}: ${key} came as ${id}, the publisher was told ${message.id}`);
    }
  }
}

function ms(at: number): string {
  return Number.isFinite(at) ? at.toFixed(0) : "…";
}
