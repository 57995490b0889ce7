// The effects after a commit (A3.10): denied notices, verifications whose result no edge brought, fetches of pinged topics,
// and dead letters that are sent again.
import { getLogger } from "@logtape/logtape";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { pause } from "../../shared/pause.ts";
import { createChallenge, randomToken } from "../../shared/random.ts";
import { requesterOf } from "../../shared/shares/requester.ts";
import {
  type Verification,
  type VerificationMethod,
  type VerificationPorts,
  verifyIntent,
} from "../../shared/outbound/verification.ts";
import { VerificationTurns } from "../../shared/outbound/verification-turns.ts";
import { subscriptionIdOf } from "../state/ids.ts";
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { ResultEvent } from "../state/events.ts";
import type { PendingIntent } from "../state/records.ts";
import type { Effects } from "../shards/effects-port.ts";
import type { Operations } from "../requests/operations.ts";
import { createNotices } from "./notices.ts";
import type { ReplayLetter } from "./replay-letter.ts";
import type { TopicFetcher } from "./topic-fetcher.ts";

const logger = getLogger(["tidings", "core", "effects"]);

export interface EffectsOptions {
  readonly outbound: Outbound;
  readonly operations: Pick<Operations, "resultOf">;
  readonly secrets: Pick<Secrets, "open">;
  readonly fetcher: TopicFetcher;
  readonly replayLetter: ReplayLetter;
  /** VERIFICATION. */
  readonly method: VerificationMethod;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

/** Verifications that may wait for their turn; one more fails at once, where all can see it (§6.7). */
const MOST_VERIFICATIONS = 20_000;
/** A verification by the owner has ended so long after the 202, or 60 s after the owner took it if that is later (WIRE §2). */
const VERIFIED_WITHIN_MS = 120_000;
const VERIFICATION_MS = 60_000;

const UNSIGNED = "the hub cannot sign its request with hub.secret";
const UNTOLD = "the hub cannot open hub.verify_token";

/** What comes of a verification whose secret or token cannot be opened. */
const UNOPENED = {
  kind: "result",
  verified: false,
  outcome: "failed",
  tries: 0,
  later: false,
  forbidden: false,
} as const;

/**
 * Opens what the request needs: the secret if it signs a ping, else the verify token. If that cannot be opened, the verification
 * fails: no ping is unsigned, and no challenge lacks its token.
 */
async function verifyOpened(
  { secret: sealed, sealedToken, ...intent }: PendingIntent,
  secrets: Pick<Secrets, "open">,
  ports: VerificationPorts,
): Promise<Verification> {
  const subscriptionId = subscriptionIdOf(intent.topic, intent.callback);
  const byPing = ports.method?.by === "ping" && intent.mode === "subscribe";
  try {
    if (byPing && sealed !== undefined) {
      return await verifyIntent({ ...intent, secret: secrets.open(sealed, subscriptionId) }, ports);
    }
    if (byPing || sealedToken === undefined) return await verifyIntent(intent, ports);
    return await verifyIntent({ ...intent, verifyToken: secrets.open(sealedToken, subscriptionId) }, ports);
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    return { ...UNOPENED, reason: byPing ? UNSIGNED : UNTOLD, challengedAt: ports.now() };
  }
}

export function createEffects(
  { outbound, operations, secrets, fetcher, replayLetter, method, clock, signal }: EffectsOptions,
): Effects {
  const notify = createNotices(outbound, signal);
  const cuts = new Set<AbortController>();
  signal.addEventListener("abort", () => {
    for (const cut of cuts) cut.abort();
  });
  const turns = new VerificationTurns({ mostWaiting: MOST_VERIFICATIONS });

  /** Returns undefined if the process is stopping: then the intent stays pending, and the next owner verifies it. */
  async function verify(intent: PendingIntent): Promise<ResultEvent | undefined> {
    // A signal of its own: thousands that wait on one signal would search each other's listeners.
    const cut = new AbortController();
    cuts.add(cut);
    try {
      return signal.aborted ? undefined : await verifyUntil(intent, cut.signal);
    } finally {
      cuts.delete(cut);
    }
  }

  async function verifyUntil(intent: PendingIntent, stopped: AbortSignal): Promise<ResultEvent | undefined> {
    const now = () => performance.now();
    const ports: VerificationPorts = {
      outbound,
      requester: requesterOf(intent),
      method,
      now,
      clock,
      challenge: createChallenge,
      pause,
      // Only a try takes a place: callbacks that ask for long pauses must not hold up others.
      inTurn: turns.of({ ...intent, requester: requesterOf(intent), isOwn: intent.isOwn === true }, stopped),
      withinMs: Math.max(VERIFICATION_MS, intent.time + VERIFIED_WITHIN_MS - clock()),
      signal: stopped,
    };
    const verification = await verifyOpened(intent, secrets, ports);
    while (verification.kind === "result" && !stopped.aborted) {
      const { verified, challengedAt, outcome, reason } = verification;
      const { id, mode, topic, callback } = intent;
      try {
        return await operations.resultOf({
          id: `core_${randomToken(16)}`,
          intent: id,
          mode,
          topic,
          callback,
          verified,
          ...(outcome === undefined ? {} : { outcome }),
          ...(reason === undefined ? {} : { reason }),
          elapsedMs: now() - challengedAt,
        });
      } catch (error) {
        // The subscriber has answered; only the log is away. Its answer is kept until the log is back.
        logger.warn("The result of verifying the {mode} of {callback} to {topic} cannot be written yet: {error}", {
          mode,
          topic,
          callback,
          error,
        });
        await pause(1_000, stopped);
      }
    }
    return undefined;
  }

  return {
    notify(notice, sent) {
      void notify(notice).then(() => signal.aborted || sent());
    },
    verify(intent, found) {
      void verify(intent).then((result) => result === undefined || found(result));
    },
    replay(owed, replayed) {
      void replayLetter(owed).then((result) => result === undefined || replayed(result));
    },
    fetch: (topicId, topic, fetched, mayAct) => fetcher.fetch(topicId, topic, fetched, mayAct),
    hurry: (topicId, topic) => fetcher.hurry(topicId, topic),
  };
}
