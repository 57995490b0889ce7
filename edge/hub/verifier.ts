// Verifies intents in the background (WIRE §2), in fair shares by requester and callback host. What is not asked in time is reported as
// failed. The core takes over what has no result after 60 s (A3.6): of an edge that has died, and of callbacks that ask for a later time.

import { getLogger } from "@logtape/logtape";
import type { Counter, Metrics } from "../../shared/metrics.ts";
import { waitAtMost } from "../../shared/pause.ts";
import { type InTurn, verifyIntent } from "../../shared/outbound/verification.ts";
import type { VerifiableIntent, Verification, VerificationPorts } from "../../shared/outbound/verification.ts";
import { VerificationTurns } from "../../shared/outbound/verification-turns.ts";
import { hostOfUrl } from "../../shared/shares/host-of.ts";
import type { Bounds } from "../../shared/shares/accounts.ts";
import type { CoreClient } from "../core/core-client.ts";
import { type AcceptedIntent, type Line, VerificationQueue, type Waiting } from "./verification-queue.ts";
import { type Seat, WaitingRoom } from "./waiting-room.ts";

export interface Verifier {
  /** Whether it can verify at all. If not, the core is told so with the intent, and verifies at once (A3.6). */
  readonly canVerify: boolean;
  /** Takes a seat for an intent that is not accepted yet; if there is none, says after how many seconds there may be one. */
  reserve(
    asked: { readonly requester: string; readonly callback: string },
  ): Reserved | { readonly retryAfterS: number };
  /** The core has put another intent in the place of this one, or it is settled: it is not asked any more, if it still waits. */
  forget(intent: VerifiableIntent, id: string): void;
  /** Starts nothing more. Verifications in flight may end until `deadlineMs`; then they are cut. */
  close(deadlineMs: number): Promise<void>;
}

/** A seat in the verifier. One of the two is called, once. */
export interface Reserved {
  /** Verifies the accepted intent soon. Never throws and never waits. */
  verify(intent: AcceptedIntent): void;
  /** There is nothing to verify. */
  release(): void;
}

export interface VerifierOptions extends Omit<VerificationPorts, "requester" | "signal" | "inTurn" | "withinMs"> {
  readonly core: Pick<CoreClient, "report">;
  readonly metrics: Metrics;
  /** Default `VERIFICATION_BOUNDS`. */
  readonly bounds?: Bounds;
  /** Called for each intent that its callback confirmed. */
  readonly onVerified?: (intent: AcceptedIntent) => void;
  /** Intents that wait or are being verified. Default 10,000. */
  readonly seats?: number;
}

/** WIRE §2: an edge starts a verification no later than this after the 202. */
export const START_WITHIN_MS = 45_000;
/** It has ended so long after the 202, when the core takes over (A3.6). */
const END_WITHIN_MS = 60_000;

export function createVerifier(options: VerifierOptions): Verifier {
  return new BackgroundVerifier(options);
}

/** An intent with its seat. */
interface Seated extends Waiting {
  readonly seat: Seat;
}

class BackgroundVerifier implements Verifier {
  readonly #options: VerifierOptions;
  readonly #outcomes: Counter;
  readonly #logger = getLogger(["tidings", "edge", "verifier"]);
  readonly #room: WaitingRoom;
  readonly #turns: VerificationTurns;
  readonly #queue = new VerificationQueue<Seated>();
  readonly #running = new Set<Promise<void>>();
  /** Each cuts one verification; those of the second set have no GET in flight. */
  readonly #cuts = new Set<AbortController>();
  readonly #idle = new Set<AbortController>();
  #closed = false;

  readonly canVerify: boolean;

  constructor(options: VerifierOptions) {
    const { metrics, bounds, seats = 10_000 } = options;
    this.#options = options;
    this.canVerify = options.outbound.supports.pinning;
    this.#room = new WaitingRoom({ seats, withinMs: START_WITHIN_MS });
    this.#turns = new VerificationTurns({ bounds });
    this.#outcomes = metrics.counter("tidings_verifications_total", "Intents by what came of them", ["outcome"]);
    metrics.gauge(
      "tidings_verifications_waiting",
      "Intents waiting for their verification",
      [],
      (gauge) => gauge.set(Math.max(0, this.#room.taken - this.#turns.inFlight)),
    );
  }

  reserve({ requester, callback }: { requester: string; callback: string }) {
    // A3.6: where addresses cannot be pinned, the core verifies.
    const seat = this.canVerify
      ? this.#room.enter({ requester, host: hostOfUrl(callback) })
      : { took: () => {}, leave: () => {} };
    if ("retryAfterS" in seat) return seat;
    return { verify: (intent: AcceptedIntent) => this.#enqueue(intent, seat), release: () => seat.leave() };
  }

  forget(intent: VerifiableIntent, id: string): void {
    this.#superseded(this.#queue.dropWhere(intent, (other) => other.id === id));
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    // Another try would be a new start.
    for (const cut of this.#idle) cut.abort();
    const all = async () => {
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    await waitAtMost(deadlineMs, all());
    for (const cut of this.#cuts) cut.abort();
  }

  #enqueue(intent: AcceptedIntent, seat: Seat): void {
    if (this.#closed || !this.canVerify) {
      seat.leave();
      return this.#outcomes.inc({ outcome: "left" });
    }
    const line = this.#queue.add({ intent, seat, drop: () => seat.leave() });
    if (line === undefined) return;
    const ended = this.#run(line)
      .catch((error: unknown) => this.#logger.error("A verification failed: {error}", { error }))
      .then(() => {
        this.#running.delete(ended);
        this.#queue.ended(intent);
      });
    this.#running.add(ended);
  }

  async #run(line: Line<Seated>): Promise<void> {
    for (let next = this.#queue.next(line); next !== undefined; next = this.#queue.next(line)) {
      const { intent, seat } = next;
      try {
        if (this.#closed) this.#outcomes.inc({ outcome: "left" });
        else await this.#verify(intent, seat);
      } finally {
        seat.leave();
      }
    }
  }

  async #verify(intent: AcceptedIntent, seat: Seat): Promise<void> {
    const withinMs = intent.acceptedAt + END_WITHIN_MS - this.#options.now();
    // Those before it in its line took the time. The core asks it soon.
    if (withinMs < END_WITHIN_MS - START_WITHIN_MS) return this.#outcomes.inc({ outcome: "left" });
    const cut = new AbortController();
    this.#cuts.add(cut);
    this.#idle.add(cut);
    const result = await verifyIntent(intent, {
      ...this.#options,
      requester: intent.requester,
      inTurn: this.#noting(this.#turns.of(intent, cut.signal), cut, seat),
      pause: async (ms) => {
        // Another try would be a new start.
        if (this.#closed) cut.abort();
        await this.#options.pause(ms, cut.signal);
      },
      withinMs,
      signal: cut.signal,
    });
    this.#cuts.delete(cut);
    this.#idle.delete(cut);
    // WIRE §2: a callback that is to be asked later than an edge may ask is asked by the core.
    if (result.kind === "aborted" || result.later) return this.#outcomes.inc({ outcome: "left" });
    this.#outcomes.inc({ outcome: outcomeOf(result) });
    // The core says in its log what came of it, whichever tier asked.
    if (result.verified) this.#options.onVerified?.(intent);
    // The seat is for the asking: a core that is away holds up no other intent.
    seat.leave();
    await this.#report(intent, result);
    if (!result.verified) return;
    // A3.6: verified cancels older ones; their answers would count for nothing.
    this.#superseded(this.#queue.dropWhere(intent, ({ offset }) => offset < intent.offset));
  }

  /** Notes which verifications have a GET in flight, and how long the first ones take. */
  #noting(inTurn: InTurn, cut: AbortController, seat: Seat): InTurn {
    const { now } = this.#options;
    return (ask, turn) =>
      inTurn(async () => {
        this.#idle.delete(cut);
        const begun = now();
        try {
          return await ask();
        } finally {
          this.#idle.add(cut);
          if (turn.tries === 1) seat.took(now() - begun);
        }
      }, turn);
  }

  #superseded(count: number): void {
    if (count > 0) this.#outcomes.inc({ outcome: "superseded" }, count);
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

/** The label of a result in the metric. */
function outcomeOf({ verified, forbidden, tries }: Extract<Verification, { kind: "result" }>): string {
  if (verified) return "verified";
  if (forbidden) return "forbidden";
  return tries === 0 ? "late" : "refused";
}
