// Puts the core together over an open log: the engine that moves messages, the effects that follow its commits, and the HTTP app that
// answers requests. main.ts is the process around it.
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import type { CoreKey, EdgePublicKey } from "../shared/jwks.ts";
import type { Metrics } from "../shared/metrics.ts";
import type { Outbound } from "../shared/outbound/outbound.ts";
import { USER_AGENT } from "../shared/product.ts";
import type { ServeOptions } from "../shared/serve.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { createTraceparent } from "../shared/trace.ts";
import { type Engine, startEngine } from "./engine.ts";
import { openMemberFile } from "./member-file.ts";
import { observe } from "./observe.ts";
import { createApp } from "./face/app.ts";
import { createDoor, DOOR_REASONS } from "./face/door.ts";
import { createEffects } from "./effects/effects.ts";
import { createReplayLetter } from "./effects/replay-letter.ts";
import { createCompact } from "../shared/compact-json.ts";
import { createTopicFetcher } from "./effects/topic-fetcher.ts";
import { createReadDeadLetters } from "./missed/dead-letter-page.ts";
import { createMissed, type Missed } from "./missed/missed.ts";
import { createReadTopic } from "./missed/topic-messages.ts";
import { createAdmit, createAdmitToStatus } from "./requests/admission.ts";
import { createMove } from "./requests/moves.ts";
import { createOperations, type Operations } from "./requests/operations.ts";
import { createPublish } from "./requests/publish.ts";
import { createQuotas, QUOTAS, type Quotas } from "./requests/quotas.ts";
import { createStandingOf } from "./requests/standing.ts";
import { STUCK_TIMES } from "./requests/stuck.ts";
import { createReadStatus } from "./requests/status.ts";
import { Topics } from "./requests/topics.ts";
import type { Effects } from "./shards/effects-port.ts";
import { openReplica, type Replica } from "./replica/replica.ts";
import type { Transport } from "./delivery/sending/transport.ts";
import { createOperatingApp } from "../shared/operating-app.ts";
import { createProbes } from "./operating/probes.ts";
import { createReadMessages } from "./messages/read-messages.ts";
import { loadRecentIds, RecentIds } from "./messages/recent-ids.ts";
import { KEYS_KEPT_MS } from "./state/ids.ts";
import { createSecrets, type Secrets } from "./keys/secrets.ts";
import { createSigners } from "./keys/signers.ts";
import type { Log } from "./log/log.ts";

export interface CoreOptions {
  readonly settings: Settings;
  /** The first key seals secrets; every key opens them. */
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
  /** Answers edges. */
  readonly fetch: ServeOptions["fetch"];
  /** Answers operators (WIRE §8), on a listener of their own: it asks nobody who they are. */
  readonly operating: (request: Request) => Response | Promise<Response>;
  readonly engine: Engine;
  /** Ends the streams of missed messages, which would otherwise keep their requests open. */
  endStreams(): void;
  /** Called after the last request: finishes what is in flight within the deadline, then checkpoints. Leaves log and transport open. */
  stop(deadlineMs: number): Promise<void>;
}

const logger = getLogger(["tidings", "core"]);

/** What the parts of a core share. */
interface Parts extends CoreOptions {
  readonly replica: Replica;
  readonly secrets: Secrets;
  readonly recentIds: RecentIds;
  /** Aborted when the core stops. */
  readonly stopping: AbortSignal;
}

/** How often positions are written. On the embedded log they ride along with appends; on Kafka each write is a transaction (A3.1). */
const CHECKPOINT_MS = { libsql: 250, kafka: 1_000 };

/** Starts the core; resolves when the lanes of its first shards run. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { settings, log, clock, onFatal } = options;
  const stopping = new AbortController();
  const secrets = await createSecrets(options.keys);
  const { retentionMs } = settings;
  const replica = await openReplica({ path: join(settings.dataDir, "replica.db"), log, clock, onFatal, retentionMs });
  const recentIds = new RecentIds(clock);
  await loadRecentIds(log, recentIds, clock());
  const parts: Parts = { ...options, replica, secrets, recentIds, stopping: stopping.signal };
  const quotas = createCountedQuotas(parts);
  const topics = new Topics({ log, replica, quotas, retentionMs, clock });
  const registration = settings.topicRegistration;
  const autoVerify = settings.autoVerify === "on";
  const operations = createOperations({ log, replica, topics, quotas, registration, autoVerify, secrets, clock });
  const engine = await startEngineOf(parts, createEffectsOf(parts, operations));
  if (retentionMs < KEYS_KEPT_MS) {
    const minutes = Math.round(retentionMs / 60_000 * 10) / 10;
    logger.warn("Idempotency keys are remembered for RETENTION only, {minutes} min instead of 24 h", { minutes });
  }
  const { fetch, operating, missed } = createFace(parts, engine, topics, operations);
  observe(options.metrics, engine, missed, secrets);
  return {
    fetch,
    operating,
    engine,
    endStreams: () => missed.close(),
    async stop(deadlineMs) {
      stopping.abort(new Error("the core is stopping"));
      await engine.stop(deadlineMs);
      await replica.close();
    },
  };
}

function createCountedQuotas({ replica, settings, metrics }: Parts): Quotas {
  const limited = metrics.counter("tidings_limited_total", "Requests that a limit refused, by limit", ["limit"]);
  for (const limit of QUOTAS) limited.inc({ limit }, 0);
  return createQuotas({
    replica,
    most: { subscriptions: settings.subscriptionsPerClient, topics: settings.topicsPerClient },
    onRefused: (limit) => limited.inc({ limit }),
  });
}

/** The effects that the engine starts after a commit (A3.10). */
function createEffectsOf(parts: Parts, operations: Operations): Effects {
  const { settings, log, replica, outbound, secrets, clock, random, stopping: signal } = parts;
  return createEffects({
    outbound,
    secrets,
    operations,
    fetcher: createTopicFetcher({
      log,
      outbound,
      hubUrl: settings.hubUrl,
      maxBytes: settings.messageMaxBytes,
      compact: createCompact(settings.compactJson),
      traceparent: createTraceparent,
      signal,
    }),
    replayLetter: createReplayLetter({
      log,
      replica,
      retry: { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs },
      attempts: settings.deadLetterAttempts,
      clock,
      random,
      signal,
    }),
    method: settings.verification === "ping" ? { by: "ping", signature: settings.signature } : { by: "challenge" },
    clock,
    signal,
  });
}

async function startEngineOf(parts: Parts, effects: Effects): Promise<Engine> {
  const { settings, log, replica, transport, secrets, recentIds, clock, random, signal, onFatal } = parts;
  const memberFile = log.supports.group
    ? await openMemberFile(join(settings.dataDir, "member.json"), log.identity)
    : undefined;
  return await startEngine({
    log,
    replica,
    delivery: {
      transport,
      recentIds,
      signers: createSigners({ secrets, random }),
      settings: {
        userAgent: USER_AGENT,
        signature: settings.signature,
        retry: { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs },
        parkAfterMs: settings.parkAfterMs,
        probeIntervalMs: settings.probeIntervalMs,
        deadLetterAttempts: settings.deadLetterAttempts,
        deadLetter500Attempts: settings.deadLetter500Attempts,
        laneMemoryBytes: settings.laneMemoryBytes,
      },
    },
    effects,
    secrets,
    hubUrl: settings.hubUrl,
    retentionMs: settings.retentionMs,
    // Only a register makes a topic under `required`: one from before may still be needed.
    forgetsTopics: settings.topicRegistration === "automatic",
    checkpointMs: CHECKPOINT_MS[log.kind],
    clock,
    random,
    signal,
    predecessor: memberFile?.predecessor,
    joinedAs: (id) => memberFile?.joinedAs(id),
    onFatal,
  });
}

/** The HTTP app for edges and operators. */
function createFace(
  parts: Parts,
  { ownership, delivery: { tail }, blocks: index }: Engine,
  topics: Topics,
  operations: Operations,
): Pick<Core, "fetch" | "operating"> & { readonly missed: Missed } {
  const { settings, log, replica, secrets, recentIds, metrics, clock } = parts;
  const now = () => performance.now();
  const probes = createProbes({ ping: () => log.ping(), now });
  const admission = { log, replica, topics, secrets, clock };
  const [admit, admitToStatus] = [createAdmit(admission), createAdmitToStatus(admission)];
  const standingOf = createStandingOf({ log, replica, ownership, tail });
  const read = createReadTopic({ tail, readMessages: createReadMessages({ log, index, recentIds }) });
  const missed = createMissed({ log, replica, topics, admit, standingOf, read, tail, secrets, clock });
  const readStatus = createReadStatus({
    log,
    admit: admitToStatus,
    standingOf,
    index,
    stuckAfter: settings.deadLetterAttempts * STUCK_TIMES,
    clock,
  });
  const refused = metrics.counter("tidings_edge_refused_total", "Requests and sessions of edges refused, by reason", [
    "reason",
  ]);
  for (const reason of DOOR_REASONS) refused.inc({ reason }, 0);
  const fetch = createApp({
    door: createDoor({
      edges: parts.edges,
      sealingKeys: secrets.sealingKeys,
      clock,
      onRefused: (reason) => refused.inc({ reason }),
    }),
    operations,
    publish: createPublish({ log, topics, registration: settings.topicRegistration, recentIds, index, tail, clock }),
    readStatus,
    move: createMove({ log, replica, admit, readStatus, clock }),
    missed,
    readDeadLetters: createReadDeadLetters({ log, replica, admit }),
    metrics,
    messageMaxBytes: settings.messageMaxBytes,
    probes,
  });
  return { fetch, operating: createOperatingApp({ probes, metrics, now }), missed };
}
