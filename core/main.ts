// The core's process: settings, keys and the log are opened here, and the core is served over HTTP.
import { join } from "node:path";
import { CORE_MAX_HEADER_BYTES } from "../shared/core-api.ts";
import { createNoteBlocked } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import { USER_AGENT } from "../shared/product.ts";
import { createGuardedConnector } from "../shared/runtime/guarded-connect.ts";
import { coreKeys, knownEdges } from "../shared/runtime/keys.ts";
import { createOutbound } from "../shared/runtime/outbound.ts";
import { serve } from "../shared/runtime/serve.ts";
import { followTls, readPem, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import { runTier } from "../shared/runtime/tier.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { startCore } from "./core.ts";
import { makeDirectory } from "./sqlite/data-directory.ts";
import { PER_ORIGIN } from "./delivery/sending/limits.ts";
import { createUndiciTransport } from "./delivery/sending/undici-transport.ts";
import { createOAuthTokens } from "./log/kafka/cluster/oauth-token.ts";
import type { KafkaSasl, KafkaTls } from "./log/kafka/cluster/security.ts";
import { openKafkaLog } from "./log/kafka/kafka-log.ts";
import { holdLock } from "./sqlite/database.ts";
import { openLibsqlLog } from "./log/libsql/libsql-log.ts";
import type { Log } from "./log/log.ts";
import { bePatient } from "./log/patient.ts";
import { countAppends } from "./observe.ts";

/** The two deadlines together are less than the 15 s that a tier has to stop. */
const REQUESTS_DEADLINE_MS = 3_000;
const DELIVERIES_DEADLINE_MS = 10_000;

await runTier("core", async ({ settings, metrics, signal, fail }) => {
  await makeDataDirectory(settings.dataDir);
  const files = tlsFilesOf(settings.coreTlsCert, settings.coreTlsKey, settings.coreClientCa);
  const tls = files === undefined ? undefined : await readTls(files);
  const [keys, edges] = [await coreKeys(settings), await knownEdges(settings)];
  const { log, started } = bePatient(countAppends(await openLog(settings, signal, fail), metrics), signal);
  const guard = createOutboundGuard(settings.outboundAllow);
  const onBlocked = createNoteBlocked(metrics, () => performance.now());
  // Twice the largest document, since an answer in small chunks is half framing.
  const maxAnswerBytes = 2 * settings.messageMaxBytes + 512 * 1024;
  const outbound = createOutbound({ guard, userAgent: USER_AGENT, onBlocked, maxAnswerBytes });
  const transport = createUndiciTransport({
    connect: createGuardedConnector({ guard, connectTimeoutMs: Math.min(10_000, settings.deliveryTimeoutMs) }),
    timeoutMs: settings.deliveryTimeoutMs,
    connectionsPerOrigin: PER_ORIGIN,
    onBlocked,
  });
  const core = await startCore({
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
    onFatal: fail,
  });
  started();
  const { host: hostname, port } = settings.coreListen;
  const served = await serve({ fetch: core.fetch, hostname, port, maxHeaderBytes: CORE_MAX_HEADER_BYTES, tls });
  const unfollow = files === undefined || tls === undefined ? () => {} : followTls(files, tls, served);
  return {
    url: served.url,
    stop: async () => {
      unfollow();
      core.endStreams();
      await served.close(REQUESTS_DEADLINE_MS);
      await core.stop(DELIVERIES_DEADLINE_MS);
      await Promise.all([transport.close(), outbound.close(), log.close()]);
    },
  };
});

async function openLog(settings: Settings, signal: AbortSignal, onFatal: (error: Error) => void): Promise<Log> {
  const { dataDir: directory, retentionMs, messageMaxBytes: maxMessageBytes } = settings;
  if (settings.kafkaBrokers.length === 0) {
    return await openLibsqlLog({ directory, retentionMs, maxMessageBytes, onFatal });
  }
  // Two processes that write one replica would spoil it for each other.
  const unlock = await holdLock(join(directory, "lock.db"));
  const log = await openKafkaLog({
    brokers: settings.kafkaBrokers,
    prefix: settings.kafkaPrefix,
    replication: settings.kafkaReplication,
    clientId: `${settings.kafkaPrefix}-core`,
    security: { tls: await kafkaTls(settings), sasl: kafkaSasl(settings) },
    retentionMs,
    maxMessageBytes,
    signal,
  });
  return { ...log, close: () => log.close().finally(() => void unlock()) };
}

async function kafkaTls({ kafkaTlsCa, kafkaTlsCert, kafkaTlsKey }: Settings): Promise<KafkaTls | undefined> {
  if (kafkaTlsCa === undefined) return undefined;
  const ca = kafkaTlsCa === "system" ? {} : { ca: await readPem("Kafka's authorities", kafkaTlsCa) };
  const files = tlsFilesOf(kafkaTlsCert, kafkaTlsKey);
  return files === undefined ? ca : { ...ca, ...await readTls(files) };
}

function kafkaSasl(settings: Settings): KafkaSasl | undefined {
  const { kafkaSaslMechanism: mechanism, kafkaSaslTokenUrl: tokenUrl, kafkaSaslScope: scope } = settings;
  const { kafkaSaslUsername: username = "", kafkaSaslPassword: password = "" } = settings;
  if (mechanism !== "oauthbearer") return mechanism === undefined ? undefined : { mechanism, username, password };
  const client = { tokenUrl: tokenUrl ?? "", clientId: username, clientSecret: password, scope };
  return { mechanism, token: createOAuthTokens({ ...client, clock: Date.now }) };
}

async function makeDataDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(path);
  } catch (error) {
    throw new Error(
      `Cannot make the data directory ${path}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
