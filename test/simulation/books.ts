// What happened in a run, written down by those outside of the hub: publishers, subscribers, and who broke what. The auditor
// judges by these and by the log; nothing here is known from the code under test.

export interface Pair {
  readonly name: string;
  readonly topic: string;
  readonly callback: string;
  readonly attempts: Attempt[];
}

/** One POST of a message to a callback. */
export interface Attempt {
  readonly pair: Pair;
  readonly core: string;
  readonly startedAt: number;
  /** The message's place, by its cursor. */
  readonly partition: number;
  readonly offset: number;
  readonly id: string;
  readonly body: string;
  /** The secret it was signed with; undefined: none that the subscriber ever gave. */
  readonly secret: string | undefined;
  /** When the subscriber answered, and what; undefined: it never did. */
  answeredAt?: number;
  status?: number;
  /** Which life of the core. */
  readonly process: number;
  /** How long ago the core sent the last heartbeat that was answered, ms. */
  readonly confirmedAgo: number;
  /** When the core heard it. */
  heardAt?: number;
}

export interface Published {
  readonly topic: string;
  readonly body: string;
  readonly key: string | undefined;
  readonly id: string;
  readonly sentAt: number;
  /** When it was answered 2xx, with what. */
  ackedAt?: number;
  cursor?: string;
  messageId?: string;
}

/** Something that was broken, from when to when; `to` is Infinity while it lasts. */
export interface Fault {
  readonly kind: string;
  readonly from: number;
  to: number;
}

export interface Accepted {
  readonly id: string;
  readonly what: string;
  readonly at: number;
}

export class Books {
  readonly pairs: Pair[] = [];
  readonly published: Published[] = [];
  readonly faults: Fault[] = [];
  /** Operations that were answered 200, by id: each must be in the log. */
  readonly accepted: Accepted[] = [];
  /** Intents whose challenge a core's own GET was answered with, and when. */
  readonly challenged: { readonly callback: string; readonly mode: string; readonly at: number }[] = [];
  /** Processes that said they must end. */
  readonly fatal: { readonly core: string; readonly at: number; readonly error: Error }[] = [];
  /** Answers that cannot be true, whatever was going on. */
  readonly wrongAnswers: string[] = [];
  /** Who left a mark, by what it wrote: which life of a core (A3.2). */
  readonly marks = new Map<string, number>();
  /** Secrets as they stand in the log, and what they are. */
  readonly sealed = new Map<string, string>();
  /** What nobody caught. */
  readonly uncaught: unknown[] = [];
  readonly #byCallback = new Map<string, Pair>();

  addPair(pair: Pair): void {
    this.pairs.push(pair);
    this.#byCallback.set(pair.callback, pair);
  }
  pairOf(callback: string): Pair | undefined {
    return this.#byCallback.get(callback);
  }

  fault(kind: string, from: number, to = Infinity): Fault {
    const fault = { kind, from, to };
    this.faults.push(fault);
    return fault;
  }
}
