// What a subscriber may count on: when the hub must know of its wish, and what it was told to deliver meanwhile. Where a
// fault came between a yes and its record, either is allowed until something shows which it was.

import type { Book, Fault, Pair, Wish } from "./book.ts";

/** A yes is in the log this long after it was given, if nothing was broken. */
export const CALM_MS = 250;
/** §6.5: folded within 1 s, 15 s if a process died, slept or was cut off. */
const FOLDED_MS = 1_000;
const FOLDED_AFTER_FAULT_MS = 15_000;
/**
 * What a fault leaves behind lasts longer than it: timers that ran out in a sleep; transactions that a broker completes
 * first when it is back, for which a hub that was cut off has all of its 15 s.
 */
const SETTLED_MS: Readonly<Record<Fault["target"], number>> = { edge: 250, core: 250, harness: 250, broker: 15_000 };
/** Where cores share the shards: those of one that comes, goes or wakes have moved by then. */
const MOVED_MS = 3_000;

/** From when on a wish is certainly the hub's, and by when it must have acted on it. */
export interface Known {
  /** A yes that counted. */
  readonly yesAt: number;
  /** By then it was in the log. */
  readonly loggedAt: number;
  /** From then on the hub has acted on it; Infinity if nothing shows it. */
  readonly shownAt: number;
}

export function faultWithin(book: Book, from: number, to: number, wanted: (fault: Fault) => boolean = () => true) {
  return book.faults.some((fault) => fault.from <= to && fault.to >= from && wanted(fault));
}

/** What is known of each wish of a pair; undefined where either is possible. */
export function knownWishes(book: Book, pair: Pair, now: number): (Known | undefined)[] {
  const known: (Known | undefined)[] = pair.wishes.map((wish) => calmYes(book, wish, now));
  // A delivery signed with a wish's secret shows that it was folded, whatever happened meanwhile.
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

function calmYes(book: Book, wish: Wish, now: number): Known | undefined {
  const yesAt = wish.answeredAt.find((at) => at + CALM_MS <= now && !faultWithin(book, at - CALM_MS, at + CALM_MS));
  return yesAt === undefined ? undefined : { yesAt, loggedAt: yesAt, shownAt: Infinity };
}

/** From a first subscribe to the wish that ends it. */
export interface Life {
  readonly begunAt: number;
  /** It must be delivered to from here on; undefined if that is not known. */
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

/** Whether a core comes or goes by its own will: nothing of it dies, sleeps or is cut off. */
export function isGraceful({ kind }: Fault): boolean {
  return kind === "restarted" || kind === "joined" || kind === "left";
}

/** Until when a fault may be felt. */
export function settledAt(fault: Fault): number {
  if (fault.shared !== true || fault.target !== "core") return fault.to + SETTLED_MS[fault.target];
  const moved = fault.to + MOVED_MS;
  // What it had is the others' within 15 s, whether it is back or not.
  return isGraceful(fault) ? moved : Math.max(moved, fault.from + FOLDED_AFTER_FAULT_MS);
}

/** When the last core died or fell asleep that may have had to fold what was in the log at `from`: who takes over may die too. */
function lastDeath(book: Book, from: number, at: number): number {
  let since = from;
  for (const fault of book.faults.toSorted((a, b) => a.from - b.from)) {
    if (fault.shared !== true || fault.target !== "core" || isGraceful(fault) || fault.from > at) continue;
    if (fault.from > since && fault.from <= since + FOLDED_AFTER_FAULT_MS) since = fault.from;
  }
  return since;
}

/**
 * Whether the hub must have folded by `at` what was in the log at `from`: within 1 s in which nothing was broken, and
 * within 15 s in which there was a log to read, whatever else was (§6.5 gives 15 s for any fault, and is less strict).
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

/** The life that a secret was wished in, by the number of wishes that ended one before; undefined for a secret never wished. */
export function lifeOf(pair: Pair, secret: string | undefined): number | undefined {
  const index = pair.wishes.findIndex((wish) => wish.mode === "subscribe" && wish.secret === secret);
  return index < 0 ? undefined : pair.wishes.slice(0, index).filter(({ mode }) => mode !== "subscribe").length;
}

/** The wishes that may still be in force at a time: asked for before, and not certainly overtaken. */
export function inForce(book: Book, pair: Pair, known: readonly (Known | undefined)[], at: number): Wish[] {
  const found: Wish[] = [];
  for (let index = pair.wishes.length - 1; index >= 0; index -= 1) {
    const wish = pair.wishes[index]!;
    if (wish.madeAt > at) continue;
    found.push(wish);
    const overtakes = known[index];
    if (overtakes === undefined) continue;
    // What it has once acted on it does not forget, whatever breaks; an attempt may have been on its way.
    if (at > overtakes.shownAt + FOLDED_MS || mustHaveFolded(book, overtakes.loggedAt, at)) break;
  }
  return found;
}
