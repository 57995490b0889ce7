// The core put together over an open log: replica, consolidator, lanes, ingest. The process around it is main.ts.
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import type { CoreKey, EdgePublicKey } from "../shared/jwks.ts";
import type { Metrics } from "../shared/metrics.ts";
import type { Outbound } from "../shared/outbound/outbound.ts";
import { USER_AGENT } from "../shared/product.ts";
import type { ServeOptions } from "../shared/serve.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { createTraceparent } from "../shared/trace.ts";
import { createReadMessages } from "./messages/read-messages.ts";
import { type Consolidator, startConsolidator } from "./shards/consolidator.ts";
import { KEYS_KEPT_MS } from "./state/ids.ts";
import type { Transport } from "./delivery/sending/transport.ts";
import { loadRecentIds, RecentIds } from "./messages/recent-ids.ts";
import { createEffects } from "./effects/effects.ts";
import { createIngest } from "./face/app.ts";
import { createMove } from "./requests/moves.ts";
import { createOperations } from "./requests/operations.ts";
import { createQuotas, QUOTAS } from "./requests/quotas.ts";
import { createPublish } from "./requests/publish.ts";
import { createAdmit } from "./requests/admission.ts";
import { createStandingOf } from "./requests/standing.ts";
import { createSecrets } from "./keys/secrets.ts";
import { createSigners } from "./keys/signers.ts";
import { createDoor, DOOR_REASONS } from "./face/door.ts";
import { createReadStatus } from "./requests/status.ts";
import { createTopics } from "./requests/topics.ts";
import type { Log } from "./log/log.ts";
import { createReadDeadLetters } from "./missed/dead-letters.ts";
import { createMissed } from "./missed/missed.ts";
import { createReplayLetter } from "./effects/replay-letter.ts";
import { createReadTopic } from "./missed/topic-messages.ts";
import { observe } from "./observe.ts";
import { openPlace } from "./place.ts";
import { openReplica } from "./replica/replica.ts";
import { createTopicFetcher } from "./effects/topic-fetcher.ts";

export interface CoreOptions {
  readonly settings: Settings;
  /** The first one seals, all open. */
  readonly keys: readonly CoreKey[];
  /** The edges that may open a session. */
  readonly edges: readonly EdgePublicKey[];
  readonly log: Log;
  readonly transport: Transport;
  readonly outbound: Outbound;
  readonly metrics: Metrics;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly random: () => number;
  /** Aborted when the process is to stop, also while it starts. */
  readonly signal?: AbortSignal;
  readonly onFatal: (error: Error) => void;
}

export interface Core {
  readonly fetch: ServeOptions["fetch"];
  readonly consolidator: Consolidator;
  /** Ends the streams of missed messages, which would go on for ever, so that requests come to an end. */
  endStreams(): void;
  /** After the last request: finishes what is in flight within the deadline, checkpoints. Leaves log and transport open. */
  stop(deadlineMs: number): Promise<void>;
}

const logger = getLogger(["tidings", "core"]);

/** Positions on the embedded log are written together with appends; on Kafka each write is a transaction (A3.1). */
const CHECKPOINT_MS = { libsql: 250, kafka: 1_000 };

/** Starts the core; resolves when its lanes run. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { settings, log, outbound, metrics, clock, random, onFatal } = options;
  const stopping = new AbortController();
  const { retentionMs } = settings;
  const secrets = await createSecrets(options.keys);
  const replica = await openReplica({ path: join(settings.dataDir, "replica.db"), log, clock, onFatal, retentionMs });
  const limited = metrics.counter("tidings_limited_total", "Requests that a limit refused, by limit", ["limit"]);
  for (const limit of QUOTAS) limited.inc({ limit }, 0);
  const quotas = createQuotas({
    replica,
    most: { subscriptions: settings.subscriptionsPerClient, topics: settings.topicsPerClient },
    onRefused: (limit) => limited.inc({ limit }),
  });
  const topics = createTopics({ log, replica, quotas, clock });
  const registration = settings.topicRegistration;
  const autoVerify = settings.autoVerify === "on";
  const operations = createOperations({ log, replica, topics, quotas, registration, autoVerify, secrets, clock });
  const fetcher = createTopicFetcher({
    log,
    outbound,
    hubUrl: settings.hubUrl,
    maxBytes: settings.messageMaxBytes,
    traceparent: createTraceparent,
    signal: stopping.signal,
  });
  const recentIds = new RecentIds(clock);
  await loadRecentIds(log, recentIds, clock());
  const place = log.supports.group ? await openPlace(join(settings.dataDir, "member.json"), log.identity) : undefined;
  const consolidator = await startConsolidator({
    log,
    replica,
    delivery: {
      log,
      transport: options.transport,
      recentIds,
      signers: createSigners({ secrets, random }),
      settings: {
        userAgent: USER_AGENT,
        signature: settings.signature,
        retry: { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs },
        parkAfterMs: settings.parkAfterMs,
        probeIntervalMs: settings.probeIntervalMs,
        deadLetterAttempts: settings.deadLetterAttempts,
        laneMemoryBytes: settings.laneMemoryBytes,
      },
      clock,
      random,
    },
    effects: createEffects({
      outbound,
      secrets,
      operations,
      fetcher,
      replayLetter: createReplayLetter({
        log,
        replica,
        retry: { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs },
        attempts: settings.deadLetterAttempts,
        clock,
        random,
        signal: stopping.signal,
      }),
      method: settings.verification === "ping"
        ? { by: "ping", signature: settings.signature, clock: clock }
        : { by: "challenge" },
      signal: stopping.signal,
    }),
    secrets,
    hubUrl: settings.hubUrl,
    retentionMs,
    checkpointMs: CHECKPOINT_MS[log.kind],
    clock,
    signal: options.signal,
    predecessor: place?.predecessor,
    joinedAs: (id) => place?.joinedAs(id),
    onFatal,
  });
  const { delivery: { tail }, blocks: index } = consolidator;
  const admit = createAdmit({ log, replica, topics, secrets, clock });
  const standingOf = createStandingOf({ log, replica, consolidator });
  const read = createReadTopic({ tail, readMessages: createReadMessages({ log, index, recentIds }) });
  const missed = createMissed({ log, replica, topics, admit, standingOf, read, tail, secrets, clock });
  observe(metrics, consolidator, missed, secrets);
  const refused = metrics.counter("tidings_edge_refused_total", "Requests and sessions of edges refused, by reason", [
    "reason",
  ]);
  for (const reason of DOOR_REASONS) refused.inc({ reason }, 0);
  if (retentionMs < KEYS_KEPT_MS) {
    const minutes = Math.round(retentionMs / 60_000 * 10) / 10;
    logger.warn("Idempotency keys are remembered for RETENTION only, {minutes} min instead of 24 h", { minutes });
  }
  const readStatus = createReadStatus({ log, admit, standingOf, index });
  const fetch = createIngest({
    door: createDoor({
      edges: options.edges,
      sealingKeys: secrets.sealingKeys,
      clock,
      onRefused: (reason) => refused.inc({ reason }),
    }),
    operations,
    publish: createPublish({ log, topics, registration, recentIds, index, tail, clock }),
    readStatus,
    move: createMove({ log, replica, admit, readStatus, clock }),
    missed,
    readDeadLetters: createReadDeadLetters({ log, replica, admit }),
    metrics,
    messageMaxBytes: settings.messageMaxBytes,
    ping: () => log.ping(),
  });
  return {
    fetch,
    consolidator,
    endStreams: () => missed.close(),
    async stop(deadlineMs) {
      stopping.abort(new Error("the core is stopping"));
      await consolidator.stop(deadlineMs);
      await replica.close();
    },
  };
}
