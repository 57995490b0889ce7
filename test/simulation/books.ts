// The books of a simulated run: what publishers and subscribers saw, and each fault. The auditor judges by these and by the log.
// Nothing here comes from the code under test.

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
  /** The message's partition and offset, by its cursor. */
  readonly partition: number;
  readonly offset: number;
  readonly id: string;
  readonly body: string;
  /** The secret it was signed with; undefined if it is none of the subscriber's. */
  readonly secret: string | undefined;
  /** When the subscriber answered, and what; undefined if it never did. */
  answeredAt?: number;
  status?: number;
  /** The number of the core's life. */
  readonly process: number;
  /** How long before this the core had sent its last confirmed heartbeat, ms. */
  readonly confirmedAgo: number;
  /** When the core heard the answer. */
  heardAt?: number;
}

export interface Published {
  readonly topic: string;
  readonly body: string;
  readonly key: string | undefined;
  readonly id: string;
  readonly sentAt: number;
  /** When the publish was answered 2xx, and the answer. */
  ackedAt?: number;
  cursor?: string;
  messageId?: string;
}

/** A fault, from its start to its end; `to` is Infinity while it lasts. */
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
  /** Operations that were answered 200: each must be in the log. */
  readonly accepted: Accepted[] = [];
  /** The challenges that a core itself sent, and when they were answered. */
  readonly challenged: { readonly callback: string; readonly mode: string; readonly at: number }[] = [];
  /** Processes that reported a fatal error. */
  readonly fatal: { readonly core: string; readonly at: number; readonly error: Error }[] = [];
  /** Answers that are wrong in every case. */
  readonly wrongAnswers: string[] = [];
  /** A3.2: by the value of an owner's mark in the log, the number of the core's life that wrote it. */
  readonly marks = new Map<string, number>();
  /** By the sealed secret in the log, the secret itself. */
  readonly sealed = new Map<string, string>();
  /** Errors that nobody caught. */
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
