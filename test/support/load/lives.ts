// When the hub must know a subscriber's wish, and which messages it then owes. If a fault came between a yes and its record,
// the hub may know it or not, until something shows which.

import type { Arrival, Book, Fault, Pair, Wish } from "./book.ts";

/** Without a fault, a yes is in the log after this time. */
export const CALM_MS = 250;
/** §6.5: an event is folded within 1 s, or within 15 s if a process died, slept or was cut off. */
const FOLDED_MS = 1_000;
const FOLDED_AFTER_FAULT_MS = 15_000;
/**
 * The effects of a fault last longer than the fault: timers that ran out during a sleep, and transactions that a broker
 * completes first after its return. The hub has all of its 15 s for those.
 */
const SETTLED_MS: Readonly<Record<Fault["target"], number>> = { edge: 250, core: 250, harness: 250, broker: 15_000 };
/** If cores share the shards, those of a core that comes, goes or wakes have moved after this time. */
const MOVED_MS = 3_000;

/** What is certain of a wish: when the hub knew it, and when it has acted on it. */
export interface Known {
  /** When the subscriber gave the yes that counted. */
  readonly yesAt: number;
  /** The yes was in the log by then. */
  readonly loggedAt: number;
  /** When the hub had certainly acted on it; Infinity if nothing shows it. */
  readonly shownAt: number;
}

export function faultWithin(book: Book, from: number, to: number, wanted: (fault: Fault) => boolean = () => true) {
  return book.faults.some((fault) => fault.from <= to && fault.to >= from && wanted(fault));
}

/** What is certain of each wish of a pair; undefined if the hub may know the wish or not. */
export function knownWishes(book: Book, pair: Pair, now: number): (Known | undefined)[] {
  const known: (Known | undefined)[] = pair.wishes.map((wish, index) =>
    calmYes(book, wish, now, (at) => wish.mode !== "gone" || !mayBeOutlived(book, pair, index, at))
  );
  // A delivery that is signed with a wish's secret shows that the hub has folded the wish.
  for (const arrival of pair.arrivals) {
    const index = pair.wishes.findLastIndex((wish) =>
      wish.mode === "subscribe" && wish.secret === arrival.signedWith && wish.answeredAt[0]! <= arrival.at
    );
    if (index < 0) continue;
    const before = known[index];
    if (before !== undefined && before.shownAt <= arrival.at) continue;
    const yesAt = pair.wishes[index]!.answeredAt.findLast((at) => at <= arrival.at)!;
    known[index] = {
      yesAt: Math.min(yesAt, before?.yesAt ?? Infinity),
      loggedAt: Math.min(arrival.at, before?.loggedAt ?? Infinity),
      shownAt: arrival.at,
    };
  }
  return known;
}

/** The first yes that no fault came near. `counts`: whether the hub acts on a yes of this time as the subscriber means it. */
function calmYes(book: Book, wish: Wish, now: number, counts: (at: number) => boolean): Known | undefined {
  const yesAt = wish.answeredAt.find((at) => isCalm(book, at, now) && counts(at));
  return yesAt === undefined ? undefined : { yesAt, loggedAt: yesAt, shownAt: Infinity };
}

function isCalm(book: Book, at: number, now = Infinity): boolean {
  return at + CALM_MS <= now && !faultWithin(book, at - CALM_MS, at + CALM_MS);
}

/**
 * Whether a wish from before this 410 may live on after it. The hub keeps what is pending when it folds a 410 (A3.6): a yes that it
 * has not folded by then begins a life anew, which ends with a newer wish or with a 410 of its own.
 */
function mayBeOutlived(book: Book, pair: Pair, gone: number, at: number): boolean {
  for (let index = gone - 1; index >= 0; index -= 1) {
    const { mode, answeredAt } = pair.wishes[index]!;
    if (mode === "gone" || answeredAt.length === 0) continue;
    if (answeredAt.length === 1 && wasShown(pair, index, at)) return false;
    if (answeredAt.some((yesAt) => !mustHaveFolded(book, yesAt, at))) return true;
    // One that is certainly verified has cancelled the older ones.
    if (answeredAt.some((yesAt) => isCalm(book, yesAt))) return false;
  }
  return false;
}

/** Whether a delivery had shown by then that the hub has folded this very subscribe: no older one has its secret. */
function wasShown({ wishes, arrivals }: Pair, index: number, at: number): boolean {
  const { mode, secret } = wishes[index]!;
  if (mode !== "subscribe" || wishes.findIndex((wish) => wish.secret === secret) !== index) return false;
  return arrivals.some((arrival) => arrival.signedWith === secret && arrival.at <= at);
}

/** A subscription from its first subscribe to the wish that ends it. */
export interface Life {
  readonly begunAt: number;
  /** The hub must deliver what is published after this; undefined if that time is not known. */
  readonly activeFrom: number | undefined;
  /** When its end was asked for; Infinity while it lasts. */
  readonly endsAt: number;
}

export function livesOf(pair: Pair, known: readonly (Known | undefined)[]): Life[] {
  const lives: { begunAt: number; activeFrom: number | undefined; endsAt: number }[] = [];
  for (const [index, wish] of pair.wishes.entries()) {
    const last = lives.at(-1);
    if (wish.mode !== "subscribe") {
      if (last !== undefined && last.endsAt === Infinity) last.endsAt = wish.madeAt;
      continue;
    }
    if (last === undefined || last.endsAt !== Infinity) {
      lives.push({ begunAt: wish.madeAt, activeFrom: known[index]?.yesAt, endsAt: Infinity });
    } else {
      const yesAt = known[index]?.yesAt;
      if (yesAt !== undefined) last.activeFrom = Math.min(yesAt, last.activeFrom ?? Infinity);
    }
  }
  return lives;
}

/** Whether a process came or went in order: it was not killed, put to sleep or cut off. */
export function isGraceful({ kind }: Fault): boolean {
  return kind === "restarted" || kind === "joined" || kind === "left";
}

/** When the effects of a fault are over. */
export function settledAt(fault: Fault): number {
  if (fault.shared !== true || fault.target !== "core") return fault.to + SETTLED_MS[fault.target];
  const moved = fault.to + MOVED_MS;
  // The others take over its shards within 15 s, whether it is back or not.
  return isGraceful(fault) ? moved : Math.max(moved, fault.from + FOLDED_AFTER_FAULT_MS);
}

/** When the last core died or fell asleep that had to fold what was in the log at `from`. A core that takes over may die too. */
function lastDeath(book: Book, from: number, at: number): number {
  let since = from;
  for (const fault of book.faults.toSorted((a, b) => a.from - b.from)) {
    if (fault.shared !== true || fault.target !== "core" || isGraceful(fault) || fault.from > at) continue;
    if (fault.from > since && fault.from <= since + FOLDED_AFTER_FAULT_MS) since = fault.from;
  }
  return since;
}

/**
 * Whether the hub must have folded by `at` what was in the log at `from`. It has 1 s without a fault, and in any case 15 s with
 * a log to read. §6.5 is less strict: it gives 15 s for any fault.
 */
export function mustHaveFolded(book: Book, from: number, at: number): boolean {
  let [calmMs, calmFrom, awayMs] = [0, from, 0];
  for (const fault of book.faults) {
    const end = settledAt(fault);
    if (end < from || fault.from > at) continue;
    calmMs += Math.max(0, fault.from - CALM_MS - calmFrom);
    calmFrom = Math.max(calmFrom, end);
    if (fault.target === "broker") awayMs += Math.max(0, Math.min(fault.to, at) - Math.max(fault.from, from));
  }
  return calmMs + Math.max(0, at - calmFrom) > FOLDED_MS ||
    at - lastDeath(book, from, at) - awayMs > FOLDED_AFTER_FAULT_MS;
}

/** The number of the life that a secret belongs to, from 0; undefined for a secret that was never wished. */
export function lifeOf(pair: Pair, secret: string | undefined): number | undefined {
  const index = pair.wishes.findIndex((wish) => wish.mode === "subscribe" && wish.secret === secret);
  return index < 0 ? undefined : pair.wishes.slice(0, index).filter(({ mode }) => mode !== "subscribe").length;
}

/** The numbers of the lives that an attempt may belong to: one that comes after a 410 may be of a life that began after it. */
export function livesAt(pair: Pair, { signedWith, at }: Arrival): ReadonlySet<number | undefined> {
  const life = lifeOf(pair, signedWith);
  if (life === undefined) return new Set([life]);
  const ends = pair.wishes.filter(({ mode }) => mode !== "subscribe").slice(life);
  const outlived = ends.findIndex(({ mode, answeredAt: [answeredAt = Infinity] }) =>
    mode !== "gone" || answeredAt > at
  );
  return new Set([life, life + (outlived < 0 ? ends.length : outlived)]);
}

/** The wishes that may be in force at a time: made before it, and not certainly overtaken by a newer one. */
export function inForce(book: Book, pair: Pair, known: readonly (Known | undefined)[], at: number): Wish[] {
  const found: Wish[] = [];
  for (let index = pair.wishes.length - 1; index >= 0; index -= 1) {
    const wish = pair.wishes[index]!;
    if (wish.madeAt > at) continue;
    found.push(wish);
    const overtakes = known[index];
    if (overtakes === undefined) continue;
    // The hub never forgets a wish that it has acted on. An attempt may have been under way.
    if (at > overtakes.shownAt + FOLDED_MS || mustHaveFolded(book, overtakes.loggedAt, at)) break;
  }
  return found;
}
