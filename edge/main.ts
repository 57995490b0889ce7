// The edge's process.

import { createNoteBlocked, notingGuard } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import { pause } from "../shared/pause.ts";
import { USER_AGENT } from "../shared/product.ts";
import { parseHttpUrl } from "../shared/http-url.ts";
import { createChallenge } from "../shared/random.ts";
import { watchBusy } from "../shared/runtime/busy.ts";
import { NODE_DIGESTS } from "../shared/runtime/digests.ts";
import { createHttpClient, type TlsHttpClient } from "../shared/runtime/http-client.ts";
import { edgeKey } from "../shared/runtime/keys.ts";
import { createOutbound } from "../shared/runtime/outbound.ts";
import { serve } from "../shared/runtime/serve.ts";
import { followTls, readPem, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import type { Metrics } from "../shared/metrics.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { runTier } from "../shared/runtime/tier.ts";
import { type Access, openAccess, publicAccess, tokenAccess } from "./auth/access.ts";
import { createTokenAccess } from "./auth/identity-provider.ts";
import { createAutoVerify } from "./hub/auto-verify.ts";
import { type CoreClient, createCoreClient } from "./core/core-client.ts";
import { createSessions } from "./core/session.ts";
import { createEdge, type EdgeOptions } from "./edge.ts";
import { createLimits } from "./limits/limits.ts";
import { createVerifier } from "./hub/verifier.ts";

/** Parts of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const REQUESTS_DEADLINE_MS = 8_000;
const VERIFICATIONS_DEADLINE_MS = 3_000;

await runTier("edge", async ({ settings, metrics }) => {
  const clocks = { now: () => performance.now(), clock: () => Date.now() };
  const { now } = clocks;
  const guard = createOutboundGuard(settings.outboundAllow);
  const noteBlocked = createNoteBlocked(metrics, now);
  const outbound = createOutbound({ guard, userAgent: USER_AGENT, onBlocked: noteBlocked });
  const files = tlsFilesOf(settings.edgeTlsCert, settings.edgeTlsKey);
  const tls = files === undefined ? undefined : await readTls(files);
  const { http, unfollow: unfollowToCore } = await openHttp(settings);
  const core = await createCore(settings, metrics, http, clocks);
  const busy = watchBusy(now);
  const limits = createLimits(settings, metrics, { now, busyMs: busy.ms });
  const verifier = createVerifier({
    core,
    outbound,
    metrics,
    now,
    challenge: createChallenge,
    pause,
    method: settings.verification === "ping"
      ? { by: "ping", signature: settings.signature, clock: clocks.clock }
      : { by: "challenge" },
    onVerified: ({ callback }) => limits.verifications.giveBack(parseHttpUrl(callback).host),
  });
  const edge = createEdge({
    core,
    verifier,
    access: accessOf(settings, metrics, http, clocks),
    limits,
    ...autoVerifyOf(settings),
    metrics,
    rules: { ...settings, guard: notingGuard(guard, noteBlocked) },
    messageMaxBytes: settings.messageMaxBytes,
    compactJson: settings.compactJson,
    hubUrl: settings.hubUrl,
    now,
  });
  const { host: hostname, port } = settings.edgeListen;
  const served = await serve({
    fetch: edge.fetch,
    hostname,
    port,
    maxConnections: settings.connections,
    maxHeaderBytes: settings.headersMaxBytes,
    headersTimeoutMs: settings.headersTimeoutMs,
    requestTimeoutMs: settings.requestTimeoutMs,
    onRefused: limits.count,
    tls,
  });
  const unfollow = files === undefined || tls === undefined ? () => {} : followTls(files, tls, served);
  return {
    url: served.url,
    stop: async () => {
      busy.stop();
      unfollow();
      unfollowToCore();
      edge.endStreams();
      await served.close(REQUESTS_DEADLINE_MS);
      await edge.close(VERIFICATIONS_DEADLINE_MS);
      await Promise.all([outbound.close(), http.close()]);
    },
  };
});

interface Clocks {
  readonly clock: () => number;
  readonly now: () => number;
}

/**
 * The client of the cores and of identity providers. It trusts the authorities of CORE_CA, and shows the certificate of
 * CORE_TLS_CERT if it is asked for one. A new certificate is taken when the files change.
 */
async function openHttp(
  { coreCa, coreTlsCert, coreTlsKey }: Settings,
): Promise<{ readonly http: TlsHttpClient; readonly unfollow: () => void }> {
  const trusted = coreCa === undefined ? {} : { ca: await readPem("the core's authorities", coreCa) };
  const files = tlsFilesOf(coreTlsCert, coreTlsKey);
  if (files === undefined) return { http: createHttpClient({ tls: trusted }), unfollow: () => {} };
  const own = await readTls(files);
  const http = createHttpClient({ tls: { ...trusted, ...own } });
  return { http, unfollow: followTls(files, own, { useTls: (next) => http.useTls({ ...trusted, ...next }) }) };
}

async function createCore(
  settings: Settings,
  metrics: Metrics,
  http: TlsHttpClient,
  { clock, now }: Clocks,
): Promise<CoreClient> {
  const retries = metrics.counter("tidings_core_retries_total", "Requests to the core that were repeated");
  return createCoreClient({
    http,
    sessions: createSessions({ http, key: await edgeKey(settings), digests: NODE_DIGESTS, clock }),
    origins: settings.coreUrl,
    clock,
    now,
    pause,
    random: () => Math.random(),
    onRetry: () => retries.inc(),
  });
}

function accessOf(settings: Settings, metrics: Metrics, http: TlsHttpClient, clocks: Clocks): Access {
  switch (settings.access) {
    case "open":
      return openAccess;
    case "public":
      return publicAccess;
    case "token":
      return tokenAccess(createTokenAccess({ settings, http, metrics, ...clocks }));
  }
}

function autoVerifyOf(settings: Settings): Pick<EdgeOptions, "autoVerify" | "onSubscription" | "onUnsubscription"> {
  // While it is off, every mark would be an error.
  if (settings.autoVerify === "off") return { autoVerify: false };
  // An origin without an issuer belongs to the only one: the settings refuse it where there are several.
  const origins = settings.autoVerifyOrigins.map(({ issuer = settings.issuer[0]!, ...client }) => ({
    issuer,
    ...client,
  }));
  const autoVerify = createAutoVerify(origins);
  return { autoVerify: true, onSubscription: autoVerify, onUnsubscription: autoVerify };
}
