// The intents that an edge is to verify (WIRE §2): those of one requester for one pair one at a time, in log order. Those of different requesters
// do not wait for each other here.

import type { VerifiableIntent } from "../../shared/outbound/verification.ts";
import { pairKeyOf } from "../../shared/outbound/verification-turns.ts";

/** An accepted intent: its operation's id, its offset in the log, and when it was accepted (`now()`). */
export interface AcceptedIntent extends VerifiableIntent {
  readonly id: string;
  readonly offset: number;
  readonly acceptedAt: number;
  /** Who asked (`requesterOf`). */
  readonly requester: string;
  /** It is of who has the subscription. */
  readonly isOwn: boolean;
}

/** Something that waits: an intent, and what it holds meanwhile. */
export interface Waiting {
  readonly intent: AcceptedIntent;
  /** Called when it waits no longer and is not to be verified. */
  readonly drop: () => void;
}

/** The intents of one requester for one pair; `running` while one of them is being verified. */
export interface Line<W extends Waiting> {
  readonly pair: Map<string, Line<W>>;
  readonly requester: string;
  /** In log order. */
  readonly waiting: W[];
  running: boolean;
}

export class VerificationQueue<W extends Waiting> {
  /** By pair, then by requester. */
  readonly #pairs = new Map<string, Map<string, Line<W>>>();

  /** Adds an intent. Returns its line if that has to be started. */
  add(item: W): Line<W> | undefined {
    const line = this.#lineOf(item.intent);
    // Answers of the core may overtake each other; the log's order counts.
    const at = line.waiting.findIndex(({ intent }) => intent.offset > item.intent.offset);
    line.waiting.splice(at === -1 ? line.waiting.length : at, 0, item);
    if (line.running) return undefined;
    line.running = true;
    return line;
  }

  /** Takes the next intent out of a line; without one the line ends. */
  next(line: Line<W>): W | undefined {
    const item = line.waiting.shift();
    if (item !== undefined) return item;
    line.running = false;
    line.pair.delete(line.requester);
    return undefined;
  }

  /** Drops the intents of a pair that wait and of which `isOver` says so; returns how many. */
  dropWhere({ topic, callback }: VerifiableIntent, isOver: (intent: AcceptedIntent) => boolean): number {
    let dropped = 0;
    for (const line of this.#pairs.get(pairKeyOf(topic, callback))?.values() ?? []) {
      const over = line.waiting.filter(({ intent }) => isOver(intent));
      dropped += over.length;
      for (const item of over) {
        line.waiting.splice(line.waiting.indexOf(item), 1);
        item.drop();
      }
    }
    return dropped;
  }

  /** A line has ended: its pair is forgotten with its last line. */
  ended({ topic, callback }: VerifiableIntent): void {
    const key = pairKeyOf(topic, callback);
    if (this.#pairs.get(key)?.size === 0) this.#pairs.delete(key);
  }

  #lineOf({ topic, callback, requester }: AcceptedIntent): Line<W> {
    const key = pairKeyOf(topic, callback);
    let pair = this.#pairs.get(key);
    if (pair === undefined) this.#pairs.set(key, pair = new Map());
    let line = pair.get(requester);
    if (line === undefined) pair.set(requester, line = { pair, requester, waiting: [], running: false });
    return line;
  }
}
