// Who has how many places of a pool, and who may have one more (ARCHITECTURE §4 "Fair shares").
//
// The rule is that of dynamic thresholds, as switches share their memory by it: a requester may have as many places as are still free. So one
// alone has at most half of them, two a third each, and there is always room for one who has none. Within a requester the same rule
// holds for its hosts, and within a host that many requesters name, for those.

import { type Claim, type Standing, STANDINGS } from "./standing.ts";

export interface Bounds {
  /** Places in all, overtime included. */
  readonly most: number;
  /** Places that claims of a standing may take. Together with all overtime at most `most`, so that none waits for another standing. */
  readonly of: Readonly<Record<Standing, number>>;
  /** Places of a standing that hold what turned out to take long (`FairShares.turn`). Default none. */
  readonly overtime?: Readonly<Partial<Record<Standing, number>>>;
  /** Places of a standing to one host, of all requesters together. Default no bound. */
  readonly perHost?: Readonly<Record<Standing, number>>;
  /** A requester may have so many times the places that are still free; one alone has then so much more than half. Default 1. */
  readonly timesFree?: number;
  /**
   * The part of each share that only those may take who have nothing of it. Without it each of several requesters takes half of what the
   * one before left, and ten of them everything. Default none.
   */
  readonly forNewcomers?: number;
}

/** The places of a standing, or its overtime. */
export type Share = Standing | `${Standing} overtime`;

export function shareOf({ standing, isOvertime }: Pick<Place, "standing" | "isOvertime">): Share {
  return isOvertime ? `${standing} overtime` : standing;
}

/** Places in use, by share and in all. */
class Usage {
  total = 0;
  readonly #by: Record<Share, number> = {
    proven: 0,
    slow: 0,
    new: 0,
    failing: 0,
    "proven overtime": 0,
    "slow overtime": 0,
    "new overtime": 0,
    "failing overtime": 0,
  };

  by(share: Share): number {
    return this.#by[share];
  }
  add(share: Share, count: number): void {
    this.#by[share] += count;
    this.total += count;
  }
}

/** What one requester has. */
export class RequesterAccount {
  readonly name: string;
  readonly usage = new Usage();
  /** Its hosts, by name. */
  readonly hosts = new Map<string, PairAccount>();
  constructor(name: string) {
    this.name = name;
  }
}

/** What all requesters have of one host. */
export class HostAccount {
  readonly name: string;
  readonly usage = new Usage();
  /** The pairs of which it is the host. */
  pairs = 0;
  constructor(name: string) {
    this.name = name;
  }
}

/** What one requester has of one host. */
export class PairAccount {
  readonly requester: RequesterAccount;
  readonly host: HostAccount;
  readonly usage = new Usage();
  /** Lines of it that have waiters. */
  lines = 0;
  /** Places that it may have in all; Infinity unless the host asked for pauses. */
  limit = Infinity;
  constructor(requester: RequesterAccount, host: HostAccount) {
    this.requester = requester;
    this.host = host;
  }
}

/** A place that is taken, or a weight of several. */
export interface Place {
  readonly pair: PairAccount;
  readonly standing: Standing;
  /** It takes long, and counts in the overtime of its standing. */
  isOvertime: boolean;
  weight: number;
}

/**
 * Why a claim may not have a place now. `room`: there is none of its standing, or its requester and all with more of them have their share;
 * `pair`: its host has its share of the requester's; `host`: the host has as many as it may.
 */
export type Lack = "room" | "pair" | "host";

export class Accounts {
  readonly #bounds: Bounds;
  readonly #usage = new Usage();
  readonly #requesters = new Map<string, RequesterAccount>();
  readonly #hosts = new Map<string, HostAccount>();

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  get used(): number {
    return this.#usage.total;
  }
  usedBy(share: Share): number {
    return this.#usage.by(share);
  }
  /** Requesters, hosts and pairs that are remembered: those that have a place, wait for one, or have a lowered limit. */
  get size(): number {
    return this.#requesters.size + this.#hosts.size;
  }

  pairOf({ requester, host }: Claim): PairAccount {
    let ofRequester = this.#requesters.get(requester);
    if (ofRequester === undefined) this.#requesters.set(requester, ofRequester = new RequesterAccount(requester));
    let pair = ofRequester.hosts.get(host);
    if (pair !== undefined) return pair;
    let ofHost = this.#hosts.get(host);
    if (ofHost === undefined) this.#hosts.set(host, ofHost = new HostAccount(host));
    ofHost.pairs++;
    ofRequester.hosts.set(host, pair = new PairAccount(ofRequester, ofHost));
    return pair;
  }

  /** The pair if it is remembered. */
  knownPair(requester: string, host: string): PairAccount | undefined {
    return this.#requesters.get(requester)?.hosts.get(host);
  }

  /** What `weight` more places of this standing lack; undefined if they may be taken. */
  lackOf(pair: PairAccount, standing: Standing, weight: number): Lack | undefined {
    const lack = this.#lackOfShare(pair, standing, weight);
    if (lack !== undefined) return lack;
    const { host, usage, limit } = pair;
    const { perHost } = this.#bounds;
    if (usage.total > 0 && usage.total + weight > limit) return "host";
    if (perHost === undefined) return undefined;
    const freeOfHost = perHost[standing] - host.usage.by(standing);
    return weight > freeOfHost || isOver(usage.by(standing), weight, freeOfHost) ? "host" : undefined;
  }

  /** What `weight` places of this standing lack that are in use and are to count as its overtime. A host has half of it at most. */
  lackOfOvertime(pair: PairAccount, standing: Standing, weight: number): Lack | undefined {
    const share = shareOf({ standing, isOvertime: true });
    const free = this.#boundOf(share) - this.#usage.by(share);
    return this.#lackOfShare(pair, share, weight) ??
      (isOver(pair.host.usage.by(share), weight, free) ? "host" : undefined);
  }

  #lackOfShare({ requester, host, usage }: PairAccount, share: Share, weight: number): Lack | undefined {
    const { timesFree = 1, forNewcomers = 0 } = this.#bounds;
    const bound = this.#boundOf(share);
    const free = bound - this.#usage.by(share);
    const had = requester.usage.by(share);
    // A bound may be Infinity.
    const kept = forNewcomers === 0 ? 0 : Math.floor(bound * forNewcomers);
    if (weight > free || isOver(had, weight, timesFree * (free - kept))) return "room";
    // Without hosts there is nothing to part.
    return host.name !== "" && isOver(usage.by(share), weight, timesFree * free - had) ? "pair" : undefined;
  }

  #boundOf(share: Share): number {
    const { of, overtime } = this.#bounds;
    switch (share) {
      case "proven overtime":
        return overtime?.proven ?? 0;
      case "slow overtime":
        return overtime?.slow ?? 0;
      case "new overtime":
        return overtime?.new ?? 0;
      case "failing overtime":
        return overtime?.failing ?? 0;
      default:
        return of[share];
    }
  }

  take(pair: PairAccount, share: Share, weight: number): void {
    this.#usage.add(share, weight);
    pair.requester.usage.add(share, weight);
    pair.host.usage.add(share, weight);
    pair.usage.add(share, weight);
  }

  give(pair: PairAccount, share: Share, weight: number): void {
    this.take(pair, share, -weight);
  }

  /** Forgets a pair that has nothing, and nobody waits for. */
  forgetIfQuiet({ requester, host, usage, lines, limit }: PairAccount): void {
    if (usage.total > 0 || lines > 0 || limit !== Infinity) return;
    if (!requester.hosts.delete(host.name)) return;
    if (requester.hosts.size === 0) this.#requesters.delete(requester.name);
    if (--host.pairs === 0) this.#hosts.delete(host.name);
  }
}

/** One who has none may have some. Others may have no more than are still free. */
function isOver(had: number, weight: number, free: number): boolean {
  return had > 0 && had + weight > free;
}

/** @throws {RangeError} if the bounds let one standing wait for another */
export function checkBounds({ most, of, overtime }: Bounds): void {
  const sum = STANDINGS.reduce((total, standing) => total + of[standing] + (overtime?.[standing] ?? 0), 0);
  if (sum > most) throw new RangeError(`The shares add up to ${sum} places, and there are ${most}`);
}
