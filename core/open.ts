// A core on Node, Deno or Bun with its log, ready to be served: by main.ts, or by a server of your own.
import { join } from "node:path";
import { makeDirectory } from "../shared/directory.ts";
import type { HttpClient } from "../shared/http-client.ts";
import type { Metrics } from "../shared/metrics.ts";
import { createNoteBlocked } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import { USER_AGENT } from "../shared/product.ts";
import { createGuardedConnector } from "../shared/runtime/guarded-connect.ts";
import { coreKeys, knownEdges } from "../shared/runtime/keys.ts";
import { createHttpClient } from "../shared/runtime/http-client.ts";
import { createMetrics } from "../shared/runtime/metrics.ts";
import { createNames } from "../shared/runtime/names/names.ts";
import { createOutbound } from "../shared/runtime/outbound.ts";
import { readPem, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import type { ServeOptions } from "../shared/serve.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { startCore } from "./core.ts";
import { MOST_IN_FLIGHT } from "./delivery/sending/places.ts";
import { createUndiciTransport } from "./delivery/sending/undici-transport.ts";
import { createOAuthTokens } from "./log/kafka/cluster/oauth-token.ts";
import type { KafkaSasl, KafkaTls } from "./log/kafka/cluster/security.ts";
import { openKafkaLog } from "./log/kafka/kafka-log.ts";
import { openLibsqlLog } from "./log/libsql/libsql-log.ts";
import type { Log } from "./log/log.ts";
import { bePatient } from "./log/patient.ts";
import { countAppends } from "./observe.ts";
import { holdLock } from "./sqlite/database.ts";
import { keepDirectoryPrivate } from "./sqlite/private-file.ts";

export interface OpenCoreOptions {
  /**
   * Called when the core must not go on: a writer is in an unknown state, or a client is broken. The process has to end; the next
   * start recovers.
   */
  readonly onFatal: (error: Error) => void;
  /** Default: a registry of its own. */
  readonly metrics?: Metrics;
  /** Default: the log that the settings name. It is closed with the core. */
  readonly log?: Log;
  /** Aborts an opening that waits for Kafka. */
  readonly signal?: AbortSignal;
}

export interface OpenCore {
  /** Answers edges; never rejects. */
  readonly fetch: ServeOptions["fetch"];
  /** Answers operators at CORE_OPERATING_LISTEN (WIRE §8). It asks nobody who they are, so strangers must not reach it. */
  readonly operating: (request: Request) => Response | Promise<Response>;
  /** Ends the streams of missed messages, which would otherwise keep their requests open. */
  endStreams(): void;
  /** Called after the last request: lets deliveries in flight end, for 10 s at most, checkpoints, and closes the log. */
  close(): Promise<void>;
}

/** Of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const DELIVERIES_DEADLINE_MS = 10_000;

/**
 * Opens a core: its data directory, keys and log. Resolves when it delivers. The server in front obeys CORE_LISTEN and CORE_TLS_…,
 * and takes heads of up to CORE_MAX_HEADER_BYTES (shared/core-api.ts).
 * @throws {Error} a sentence for people, if something cannot be opened. If the log was open by then, this process keeps its data
 * directory until it ends
 */
export async function openCore(settings: Settings, options: OpenCoreOptions): Promise<OpenCore> {
  const { onFatal, metrics = createMetrics({ tier: "core" }), signal = new AbortController().signal } = options;
  await makeDataDirectory(settings.dataDir);
  const [keys, edges] = [await coreKeys(settings), await knownEdges(settings)];
  const own = options.log ?? await openLog(settings, signal, onFatal);
  const { log, started } = bePatient(countAppends(own, metrics), signal);
  const guard = createOutboundGuard(settings.outboundAllow);
  const onBlocked = createNoteBlocked(metrics, () => performance.now());
  // Twice the largest document, since an answer in small chunks is half framing.
  const maxAnswerBytes = 2 * settings.messageMaxBytes + 512 * 1024;
  const names = createNames();
  const outbound = createOutbound({ guard, names, userAgent: USER_AGENT, onBlocked, maxAnswerBytes });
  const transport = createUndiciTransport({
    connect: createGuardedConnector({ guard, names, connectTimeoutMs: Math.min(10_000, settings.deliveryTimeoutMs) }),
    timeoutMs: settings.deliveryTimeoutMs,
    // The shares bound them: none waits for the connection of another.
    connectionsPerOrigin: MOST_IN_FLIGHT,
    onBlocked,
  });
  const starting = startCore({
    settings,
    keys,
    edges,
    log,
    transport,
    outbound,
    metrics,
    clock: () => Date.now(),
    random: () => Math.random(),
    signal,
    onFatal,
  });
  // A start that fails stops asking the log, too.
  const core = await starting.finally(started);
  return {
    fetch: core.fetch,
    operating: core.operating,
    endStreams: () => core.endStreams(),
    close: async () => {
      await core.stop(DELIVERIES_DEADLINE_MS);
      await Promise.all([transport.close(), outbound.close(), log.close()]);
    },
  };
}

async function openLog(settings: Settings, signal: AbortSignal, onFatal: (error: Error) => void): Promise<Log> {
  const { dataDir: directory, retentionMs, messageMaxBytes: maxMessageBytes } = settings;
  if (settings.kafkaBrokers.length === 0) {
    return await openLibsqlLog({ directory, retentionMs, maxMessageBytes, onFatal });
  }
  // Two processes that write one replica would spoil it for each other.
  const unlock = await holdLock(join(directory, "lock.db"));
  const http = createHttpClient({ connections: 1 });
  const release = async () => {
    await http.close();
    await unlock();
  };
  try {
    const log = await openKafkaLog({
      brokers: settings.kafkaBrokers,
      prefix: settings.kafkaPrefix,
      replication: settings.kafkaReplication,
      clientId: `${settings.kafkaPrefix}-core`,
      security: { tls: await kafkaTls(settings), sasl: kafkaSasl(settings, http) },
      retentionMs,
      maxMessageBytes,
      signal,
    });
    const close = async () => {
      try {
        await log.close();
      } finally {
        await release();
      }
    };
    return { ...log, close };
  } catch (error) {
    await release();
    throw error;
  }
}

async function kafkaTls({ kafkaTlsCa, kafkaTlsCert, kafkaTlsKey }: Settings): Promise<KafkaTls | undefined> {
  if (kafkaTlsCa === undefined) return undefined;
  const ca = kafkaTlsCa === "system" ? {} : { ca: await readPem("Kafka's authorities", kafkaTlsCa) };
  const files = tlsFilesOf(kafkaTlsCert, kafkaTlsKey);
  return files === undefined ? ca : { ...ca, ...await readTls(files) };
}

function kafkaSasl(settings: Settings, http: HttpClient): KafkaSasl | undefined {
  const { kafkaSaslMechanism: mechanism, kafkaSaslTokenUrl: tokenUrl, kafkaSaslScope: scope } = settings;
  const { kafkaSaslUsername: username = "", kafkaSaslPassword: password = "" } = settings;
  if (mechanism !== "oauthbearer") return mechanism === undefined ? undefined : { mechanism, username, password };
  const client = { http, tokenUrl: tokenUrl ?? "", clientId: username, clientSecret: password, scope };
  return { mechanism, token: createOAuthTokens({ ...client, clock: Date.now }) };
}

async function makeDataDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(path);
    await keepDirectoryPrivate(path);
  } catch (error) {
    throw new Error(
      `Cannot make the data directory ${path}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
