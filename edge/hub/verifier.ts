// Verifying intents in the background (WIRE §2): one GET in flight per pair, in log order; bounded in all and per callback
// origin. What does not fit, or waits too long, is left to the core, which takes whatever has no result after 60 s (A3.6).

import { getLogger } from "@logtape/logtape";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { identityOf } from "../../shared/identity.ts";
import type { Metrics } from "../../shared/metrics.ts";
import { pause } from "../../shared/pause.ts";
import { verifyIntent } from "../../shared/outbound/verification.ts";
import type { VerifiableIntent, VerificationPorts } from "../../shared/outbound/verification.ts";
import type { CoreClient } from "../core/core-client.ts";

/** An accepted intent: its operation's id, its place in the log, and when it was accepted (`now()`). */
export interface PendingIntent extends VerifiableIntent {
  readonly id: string;
  readonly offset: number;
  readonly acceptedAt: number;
}

export interface Verifier {
  /** Takes an intent to verify soon. Never throws and never waits. */
  take(intent: PendingIntent): void;
  /** Starts nothing more; what is in flight may end until `deadlineMs`, then it is cut. */
  close(deadlineMs: number): Promise<void>;
}

export interface VerifierOptions extends Omit<VerificationPorts, "signal"> {
  readonly core: Pick<CoreClient, "report">;
  readonly metrics: Metrics;
  /** In flight at once. Default 256. */
  readonly maxConcurrent?: number;
  /** In flight at once to one origin. Default 32. */
  readonly maxPerOrigin?: number;
  /** Told of each intent that its callback confirmed. */
  readonly onVerified?: (intent: VerifiableIntent) => void;
  /** Waiting. Default 10,000. */
  readonly maxWaiting?: number;
}

/** WIRE §2: an edge starts none later than this after the 202. */
const START_WITHIN_MS = 20_000;

/** The intents of one pair, in log order; `running` while one of them is being verified. */
interface Pair {
  readonly key: string;
  readonly origin: Origin;
  readonly waiting: PendingIntent[];
  running: boolean;
}
/** One callback origin: the pairs that could start. */
interface Origin {
  readonly key: string;
  readonly startable: Pair[];
  running: number;
}

export function createVerifier(options: VerifierOptions): Verifier {
  const { maxConcurrent = 256, maxPerOrigin = 32, maxWaiting = 10_000, metrics, now } = options;
  const log = getLogger(["tidings", "edge", "verifier"]);
  const outcomes = metrics.counter("tidings_verifications_total", "Intents by what came of them", ["outcome"]);
  metrics.gauge(
    "tidings_verifications_waiting",
    "Intents waiting for their verification",
    [],
    (gauge) => gauge.set(waiting),
  );

  const pairs = new Map<string, Pair>();
  const origins = new Map<string, Origin>();
  /** Origins with something to start and room to start it, in turn. */
  const turn = new Set<Origin>();
  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  let waiting = 0;
  let closed = false;

  function take(intent: PendingIntent): void {
    // A3.6: where addresses cannot be pinned, the core verifies.
    if (closed || waiting >= maxWaiting || !options.outbound.supports.pinning) {
      outcomes.inc({ outcome: "left" });
      return;
    }
    const pair = pairOf(intent);
    // Answers of the core may overtake each other; the log's order is what counts.
    const at = pair.waiting.findIndex((other) => other.offset > intent.offset);
    pair.waiting.splice(at === -1 ? pair.waiting.length : at, 0, intent);
    waiting++;
    if (!pair.running && pair.waiting.length === 1) makeStartable(pair);
    startWhatFits();
  }

  function pairOf({ topic, callback }: VerifiableIntent): Pair {
    // §5.1.1: two spellings of a pair are one pair.
    const key = `${identityOf(topic)}\0${identityOf(callback)}`;
    let pair = pairs.get(key);
    if (pair === undefined) {
      const originKey = parseHttpUrl(callback).origin;
      let origin = origins.get(originKey);
      if (origin === undefined) origins.set(originKey, origin = { key: originKey, startable: [], running: 0 });
      pairs.set(key, pair = { key, origin, waiting: [], running: false });
    }
    return pair;
  }

  function makeStartable(pair: Pair): void {
    pair.origin.startable.push(pair);
    if (pair.origin.running < maxPerOrigin) turn.add(pair.origin);
  }

  function startWhatFits(): void {
    while (running.size < maxConcurrent) {
      const [origin] = turn;
      if (origin === undefined) return;
      turn.delete(origin);
      const pair = origin.startable.shift();
      if (pair === undefined) continue;
      origin.running++;
      pair.running = true;
      // Back to the end of the turn: no origin is served twice while another waits.
      if (origin.startable.length > 0 && origin.running < maxPerOrigin) turn.add(origin);
      const ended = run(pair).catch((error: unknown) => log.error("A verification failed: {error}", { error }))
        .then(() => {
          running.delete(ended);
          finish(pair);
        });
      running.add(ended);
    }
  }

  /** Verifies the first intent of a pair that is still in time. */
  async function run(pair: Pair): Promise<void> {
    for (let intent = pair.waiting.shift(); intent !== undefined; intent = pair.waiting.shift()) {
      waiting--;
      if (!closed && now() - intent.acceptedAt <= START_WITHIN_MS) return await verify(intent, pair);
      outcomes.inc({ outcome: "left" });
    }
  }

  async function verify(intent: PendingIntent, pair: Pair): Promise<void> {
    const result = await verifyIntent(intent, { ...options, signal: stop.signal });
    if (result.kind === "aborted") return outcomes.inc({ outcome: "left" });
    const outcome = result.verified ? "verified" : result.forbidden ? "forbidden" : "refused";
    outcomes.inc({ outcome });
    if (result.verified) options.onVerified?.(intent);
    else {
      log.info("Intent {id} ({mode}) was not verified: {reason}", {
        id: intent.id,
        mode: intent.mode,
        reason: result.reason,
      });
    }
    const { id, mode, topic, callback } = intent;
    const reason = result.reason === undefined ? {} : { reason: result.reason };
    const { verified, challengedAt } = result;
    try {
      await options.core.report({
        kind: "result",
        intent: id,
        mode,
        topic,
        callback,
        verified,
        challengedAt,
        ...reason,
      });
    } catch (error) {
      // The core asks again itself: the intent is still pending there.
      log.warn("The result of intent {id} did not reach the core: {error}", { id, error });
    }
    // A3.6: verified cancels older ones; their answers would count for nothing.
    if (verified) dropOlder(pair, intent.offset);
  }

  function dropOlder(pair: Pair, offset: number): void {
    const kept = pair.waiting.filter((other) => other.offset > offset);
    const dropped = pair.waiting.length - kept.length;
    waiting -= dropped;
    if (dropped > 0) outcomes.inc({ outcome: "superseded" }, dropped);
    pair.waiting.splice(0, Infinity, ...kept);
  }

  function finish(pair: Pair): void {
    const { origin } = pair;
    pair.running = false;
    origin.running--;
    if (pair.waiting.length > 0) origin.startable.push(pair);
    else pairs.delete(pair.key);
    if (origin.startable.length > 0) turn.add(origin);
    else if (origin.running === 0) origins.delete(origin.key);
    startWhatFits();
  }

  return {
    take,
    close: async (deadlineMs) => {
      closed = true;
      const ended = new AbortController();
      const all = async () => {
        while (running.size > 0) await Promise.all(running);
        ended.abort();
      };
      await Promise.race([all(), pause(deadlineMs, ended.signal)]);
      stop.abort();
    },
  };
}
