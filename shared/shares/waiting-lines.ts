// Those who wait for a place of a pool, in the order in which they get one: the requester with the fewest places first, then its host
// with the fewest, then who has waited longest. Hosts without a place do not stand in the way of others, nor cost time.

import type { Accounts, HostAccount, PairAccount, RequesterAccount } from "./accounts.ts";
import { Line, type Link } from "./line.ts";
import { Ranks } from "./ranks.ts";
import type { Standing } from "./standing.ts";

/** What one requester waits for with one standing, about one host. */
interface PairLine<W> {
  readonly pair: PairAccount;
  /** In the order in which they came. */
  readonly order: Line<Waiting<W>>;
  readonly waiters: Map<W, Link<Waiting<W>>>;
}

interface Waiting<W> {
  readonly waiter: W;
  /** For how many places it waits. */
  readonly weight: number;
}

/** Whose turn it is, and for how many places. */
interface Turn<W> {
  readonly pair: PairAccount;
  readonly waiter: W;
  readonly weight: number;
}

/** The lines of one requester with one standing. */
interface RequesterLine<W> {
  readonly account: RequesterAccount;
  readonly lines: Map<PairAccount, PairLine<W>>;
  /** Those of its lines whose host may have a place. */
  readonly ready: Ranks<PairLine<W>>;
}

/** Lines that a change of a host's places lets try again: all of them would cost as much as there are. */
const RELEASED_AT_ONCE = 8;

/** All that wait with one standing. */
export class WaitingLines<W> {
  readonly #standing: Standing;
  readonly #accounts: Accounts;
  readonly #requesters = new Map<RequesterAccount, RequesterLine<W>>();
  /** Requesters with a line that is ready. */
  readonly #ready = new Ranks<RequesterLine<W>>();
  /** Those whose places have changed since the lines were last in order. */
  readonly #unranked = new Set<PairAccount>();
  /** Lines that wait until their host has a place. */
  readonly #held = new Map<HostAccount, Set<PairLine<W>>>();

  constructor(standing: Standing, accounts: Accounts) {
    this.#standing = standing;
    this.#accounts = accounts;
  }

  add(pair: PairAccount, waiter: W, weight: number): void {
    const ofRequester = this.#lineOf(pair.requester);
    let line = ofRequester.lines.get(pair);
    if (line === undefined) {
      ofRequester.lines.set(pair, line = { pair, order: new Line(), waiters: new Map() });
      pair.lines++;
      this.#makeReady(ofRequester, line);
    }
    line.waiters.set(waiter, line.order.add({ waiter, weight }));
  }

  /** A waiter leaves. Returns how many places it waited for; undefined if it does not wait here. */
  remove(pair: PairAccount, waiter: W): number | undefined {
    const ofRequester = this.#requesters.get(pair.requester);
    const line = ofRequester?.lines.get(pair);
    const link = line?.waiters.get(waiter);
    if (ofRequester === undefined || line === undefined || link === undefined) return undefined;
    this.#takeOut(ofRequester, line, link);
    return link.item.weight;
  }

  /** Takes out the waiter whose turn it is, if it may have a place. */
  next(): Turn<W> | undefined {
    if (this.#ready.size === 0) return undefined;
    this.#rankAgain();
    let turn: Turn<W> | undefined;
    let isOver = false;
    this.#ready.some((ofRequester) => {
      ofRequester.ready.some((line) => {
        const { pair, order, waiters } = line;
        const { waiter, weight } = order.first!;
        const lack = this.#accounts.lackOf(pair, this.#standing, weight);
        if (lack === "room") return isOver = true;
        if (lack === "pair") return true;
        if (lack === "host") {
          this.#hold(ofRequester, line);
          return false;
        }
        this.#takeOut(ofRequester, line, waiters.get(waiter)!);
        turn = { pair, waiter, weight };
        return isOver = true;
      });
      return isOver;
    });
    return turn;
  }

  /** The places of a pair have changed: the order, and whether its host has one, may be others now. */
  changed(pair: PairAccount): void {
    this.#release(pair.host, pair);
    const ofRequester = this.#requesters.get(pair.requester);
    if (ofRequester !== undefined && this.#ready.has(ofRequester)) this.#unranked.add(pair);
  }

  /** Where one leaves and the next enters, the order is what it was: it is made only when it is asked for. */
  #rankAgain(): void {
    if (this.#unranked.size === 0) return;
    for (const pair of this.#unranked) {
      const ofRequester = this.#requesters.get(pair.requester);
      if (ofRequester === undefined) continue;
      const line = ofRequester.lines.get(pair);
      if (line !== undefined && ofRequester.ready.has(line)) ofRequester.ready.put(line, pair.usage.by(this.#standing));
      if (this.#ready.has(ofRequester)) this.#ready.put(ofRequester, pair.requester.usage.by(this.#standing));
    }
    this.#unranked.clear();
  }

  #lineOf(account: RequesterAccount): RequesterLine<W> {
    let line = this.#requesters.get(account);
    if (line === undefined) {
      line = { account, lines: new Map(), ready: new Ranks() };
      this.#requesters.set(account, line);
    }
    return line;
  }

  #makeReady(ofRequester: RequesterLine<W>, line: PairLine<W>): void {
    ofRequester.ready.put(line, line.pair.usage.by(this.#standing));
    this.#ready.put(ofRequester, ofRequester.account.usage.by(this.#standing));
  }

  #hold(ofRequester: RequesterLine<W>, line: PairLine<W>): void {
    this.#unready(ofRequester, line);
    const held = this.#held.get(line.pair.host) ?? new Set();
    this.#held.set(line.pair.host, held.add(line));
  }

  /** The line of this pair is held no longer, nor are a few others of its host; the next change lets go of more. */
  #release(host: HostAccount, own: PairAccount): void {
    const held = this.#held.get(host);
    if (held === undefined) return;
    const ofOwn = this.#requesters.get(own.requester)?.lines.get(own);
    const released = ofOwn !== undefined && held.has(ofOwn) ? [ofOwn] : [];
    for (const line of held) {
      if (released.length > RELEASED_AT_ONCE) break;
      released.push(line);
    }
    for (const line of released) {
      held.delete(line);
      this.#makeReady(this.#requesters.get(line.pair.requester)!, line);
    }
    if (held.size === 0) this.#held.delete(host);
  }

  #unready(ofRequester: RequesterLine<W>, line: PairLine<W>): void {
    ofRequester.ready.remove(line);
    if (ofRequester.ready.size === 0) this.#ready.remove(ofRequester);
  }

  #takeOut(ofRequester: RequesterLine<W>, line: PairLine<W>, link: Link<Waiting<W>>): void {
    line.order.remove(link);
    line.waiters.delete(link.item.waiter);
    if (line.waiters.size === 0) this.#drop(ofRequester, line);
  }

  /** Nobody waits in this line now. */
  #drop(ofRequester: RequesterLine<W>, line: PairLine<W>): void {
    const { pair } = line;
    this.#unready(ofRequester, line);
    const held = this.#held.get(pair.host);
    if (held?.delete(line) === true && held.size === 0) this.#held.delete(pair.host);
    pair.lines--;
    ofRequester.lines.delete(pair);
    if (ofRequester.lines.size === 0) this.#requesters.delete(pair.requester);
  }
}
