// Verifies intents in the background (WIRE §2), bounded in all and per callback origin. The core takes over intents that
// have no result after 60 s (A3.6), so intents that do not fit here, or wait too long, are left to it.

import { getLogger } from "@logtape/logtape";
import type { Counter, Metrics } from "../../shared/metrics.ts";
import { waitAtMost } from "../../shared/pause.ts";
import { verifyIntent } from "../../shared/outbound/verification.ts";
import type { VerifiableIntent, Verification, VerificationPorts } from "../../shared/outbound/verification.ts";
import type { CoreClient } from "../core/core-client.ts";
import { type AcceptedIntent, type Pair, VerificationQueue } from "./verification-queue.ts";

export interface Verifier {
  /** Whether it can verify at all. If not, the core is told so with the intent, and verifies at once (A3.6). */
  readonly canVerify: boolean;
  /** Queues an intent to be verified soon. Never throws and never waits. */
  enqueue(intent: AcceptedIntent): void;
  /** Starts nothing more. Verifications in flight may end until `deadlineMs`; then they are cut. */
  close(deadlineMs: number): Promise<void>;
}

export interface VerifierOptions extends Omit<VerificationPorts, "signal" | "inTurn" | "withinMs"> {
  readonly core: Pick<CoreClient, "report">;
  readonly metrics: Metrics;
  /** Verifications in flight at once. Default 256. */
  readonly maxConcurrent?: number;
  /** Verifications in flight at once to one origin. Default 32. */
  readonly maxPerOrigin?: number;
  /** Called for each intent that its callback confirmed. */
  readonly onVerified?: (intent: VerifiableIntent) => void;
  /** Intents that may wait for their first GET; as many may pause between two tries. Default 10,000. */
  readonly maxWaiting?: number;
}

/** WIRE §2: an edge starts a verification no later than this after the 202. */
const START_WITHIN_MS = 20_000;
/** It has ended so long after the 202, when the core takes over (A3.6). */
const END_WITHIN_MS = 60_000;

export function createVerifier(options: VerifierOptions): Verifier {
  return new BackgroundVerifier(options);
}

class BackgroundVerifier implements Verifier {
  readonly #options: VerifierOptions;
  readonly #maxConcurrent: number;
  readonly #maxWaiting: number;
  readonly #outcomes: Counter;
  readonly #logger = getLogger(["tidings", "edge", "verifier"]);
  readonly #queue: VerificationQueue;
  readonly #running = new Set<Promise<void>>();
  /** How many of those have a place: all but the resting ones. */
  #inFlight = 0;
  /** Each cuts one verification that runs; the resting ones are those that pause between two tries, or wait for a place after it. */
  readonly #cuts = new Set<AbortController>();
  readonly #resting = new Set<AbortController>();
  /** What lets a pair go on that has paused. */
  readonly #goOn = new Map<Pair, () => void>();
  #closed = false;

  readonly canVerify: boolean;

  constructor(options: VerifierOptions) {
    const { metrics, maxConcurrent = 256, maxPerOrigin = 32, maxWaiting = 10_000 } = options;
    this.#options = options;
    this.canVerify = options.outbound.supports.pinning;
    this.#maxConcurrent = maxConcurrent;
    this.#maxWaiting = maxWaiting;
    this.#queue = new VerificationQueue(maxPerOrigin);
    this.#outcomes = metrics.counter("tidings_verifications_total", "Intents by what came of them", ["outcome"]);
    metrics.gauge(
      "tidings_verifications_waiting",
      "Intents waiting for their verification",
      [],
      (gauge) => gauge.set(this.#queue.waiting + this.#resting.size),
    );
  }

  enqueue(intent: AcceptedIntent): void {
    // A3.6: where addresses cannot be pinned, the core verifies.
    if (this.#closed || this.#queue.waiting >= this.#maxWaiting || !this.canVerify) {
      this.#outcomes.inc({ outcome: "left" });
      return;
    }
    this.#queue.add(intent);
    this.#startWhatFits();
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    // Another try would be a new start.
    for (const cut of this.#resting) cut.abort();
    const all = async () => {
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    await waitAtMost(deadlineMs, all());
    for (const cut of this.#cuts) cut.abort();
  }

  #startWhatFits(): void {
    while (this.#inFlight < this.#maxConcurrent) {
      const pair = this.#queue.start();
      if (pair === undefined) return;
      this.#inFlight++;
      const goOn = this.#goOn.get(pair);
      if (goOn !== undefined) {
        goOn();
        continue;
      }
      const ended = this.#run(pair)
        .catch((error: unknown) => this.#logger.error("A verification failed: {error}", { error }))
        .then(() => {
          this.#running.delete(ended);
          this.#inFlight--;
          this.#queue.end(pair);
          this.#startWhatFits();
        });
      this.#running.add(ended);
    }
  }

  /** Verifies the first intent of a pair that is still in time. */
  async #run(pair: Pair): Promise<void> {
    for (let intent = this.#queue.shift(pair); intent !== undefined; intent = this.#queue.shift(pair)) {
      const isInTime = this.#options.now() - intent.acceptedAt <= START_WITHIN_MS;
      if (!this.#closed && isInTime) return await this.#verify(intent, pair);
      this.#outcomes.inc({ outcome: "left" });
    }
  }

  async #verify(intent: AcceptedIntent, pair: Pair): Promise<void> {
    const cut = new AbortController();
    this.#cuts.add(cut);
    const result = await verifyIntent(intent, {
      ...this.#options,
      pause: (ms) => this.#rest(pair, ms, cut),
      withinMs: intent.acceptedAt + END_WITHIN_MS - this.#options.now(),
      signal: cut.signal,
    });
    this.#cuts.delete(cut);
    // WIRE §2: a callback that is to be asked later than an edge may ask is asked by the core.
    if (result.kind === "aborted" || result.later) return this.#outcomes.inc({ outcome: "left" });
    this.#outcomes.inc({ outcome: result.verified ? "verified" : result.forbidden ? "forbidden" : "refused" });
    // The core says in its log what came of it, whichever tier asked.
    if (result.verified) this.#options.onVerified?.(intent);
    await this.#report(intent, result);
    if (!result.verified) return;
    // A3.6: verified cancels older ones; their answers would count for nothing.
    const dropped = this.#queue.dropOlder(pair, intent.offset);
    if (dropped > 0) this.#outcomes.inc({ outcome: "superseded" }, dropped);
  }

  /** Pauses between two tries. The place is free meanwhile: callbacks that ask for long pauses must not hold up others. */
  async #rest(pair: Pair, ms: number, cut: AbortController): Promise<void> {
    this.#resting.add(cut);
    // One pause too many is what goes to the core, and not a callback that has not been asked yet.
    if (this.#closed || this.#resting.size > this.#maxWaiting) cut.abort();
    this.#queue.rest(pair);
    this.#inFlight--;
    this.#startWhatFits();
    await this.#options.pause(ms, cut.signal);
    await new Promise<void>((goOn) => {
      this.#goOn.set(pair, goOn);
      this.#queue.goOn(pair);
      this.#startWhatFits();
    });
    this.#goOn.delete(pair);
    this.#resting.delete(cut);
  }

  async #report(
    { id, mode, topic, callback }: AcceptedIntent,
    { verified, outcome, reason, challengedAt }: Extract<Verification, { kind: "result" }>,
  ): Promise<void> {
    try {
      await this.#options.core.report({
        kind: "result",
        intent: id,
        mode,
        topic,
        callback,
        verified,
        challengedAt,
        ...(outcome === undefined ? {} : { outcome }),
        ...(reason === undefined ? {} : { reason }),
      });
    } catch (error) {
      // The intent is still pending in the core, which will ask the callback itself.
      this.#logger.warn("The result of verifying the {mode} of {callback} to {topic} did not reach the core: {error}", {
        mode,
        topic,
        callback,
        intent: id,
        error,
      });
    }
  }
}
