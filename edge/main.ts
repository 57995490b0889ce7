// The edge's process.

import { createNoteBlocked, noting } from "../shared/outbound/blocked-calls.ts";
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
import { followTls, readPem, readTls, type TlsFiles, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import type { ClientTls } from "../shared/http-client.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { runTier } from "../shared/runtime/tier.ts";
import { openAccess, publicAccess, tokenAccess } from "./auth/access.ts";
import { createTokenAccess } from "./auth/identity-provider.ts";
import { createAutoVerify } from "./hub/auto-verify.ts";
import { createCoreClient } from "./core/core-client.ts";
import { createSessions } from "./core/session.ts";
import { createEdge } from "./edge.ts";
import { createLimits } from "./limits/limits.ts";
import { createVerifier } from "./hub/verifier.ts";

/** Of the 15 s that a tier has to stop. */
const REQUESTS_DEADLINE_MS = 8_000;
const VERIFICATIONS_DEADLINE_MS = 3_000;

await runTier("edge", async ({ settings, metrics }) => {
  const now = () => performance.now();
  const clock = () => Date.now();
  const guard = createOutboundGuard(settings.outboundAllow);
  const noteBlocked = createNoteBlocked(metrics, now);
  const outbound = createOutbound({ guard, userAgent: USER_AGENT, onBlocked: noteBlocked });
  const files = tlsFilesOf(settings.edgeTlsCert, settings.edgeTlsKey);
  const tls = files === undefined ? undefined : await readTls(files);
  const toCore = await tlsToCore(settings);
  const http = createHttpClient({ tls: toCore });
  const { coreTlsCert, coreTlsKey } = settings;
  const unfollowToCore = followOwn(tlsFilesOf(coreTlsCert, coreTlsKey), toCore, http);
  const retries = metrics.counter("tidings_core_retries_total", "Requests to the core that were repeated");
  const core = createCoreClient({
    http,
    sessions: createSessions({ http, key: await edgeKey(settings), digests: NODE_DIGESTS, clock }),
    origins: settings.coreUrl,
    clock,
    now: now,
    pause,
    random: () => Math.random(),
    onRetry: () => retries.inc(),
  });
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
      ? { by: "ping", signature: settings.signature, clock }
      : { by: "challenge" },
    onVerified: ({ callback }) => limits.verifications.giveBack(parseHttpUrl(callback).host),
  });
  const access = {
    open: () => openAccess,
    public: () => publicAccess,
    token: () => tokenAccess(createTokenAccess({ settings, http, metrics, clock, now: now })),
  }[settings.access]();
  // Settings name an issuer wherever there are several.
  const origins = settings.autoVerifyOrigins.map(({ issuer = settings.issuer[0]!, ...client }) => ({
    issuer,
    ...client,
  }));
  const autoVerify = createAutoVerify(origins);
  const edge = createEdge({
    core,
    verifier,
    access,
    limits,
    autoVerify: settings.autoVerify === "on",
    // While it is off there is nothing to mark; a mark would be an error each time.
    ...(settings.autoVerify === "on" ? { onSubscription: autoVerify, onUnsubscription: autoVerify } : {}),
    metrics,
    rules: { ...settings, guard: noting(guard, noteBlocked) },
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

/** What the core is shown, if it asks, is taken again when its files change. */
function followOwn(files: TlsFiles | undefined, { cert, key, ca }: ClientTls, http: TlsHttpClient): () => void {
  if (files === undefined || cert === undefined || key === undefined) return () => {};
  const trusted = ca === undefined ? {} : { ca };
  return followTls(files, { cert, key }, { useTls: (next) => http.useTls({ ...trusted, ...next }) });
}

/** Whom the edge trusts to be the core, and what it shows where the core asks for a certificate. */
async function tlsToCore({ coreCa, coreTlsCert, coreTlsKey }: Settings): Promise<ClientTls> {
  const ca = coreCa === undefined ? {} : { ca: await readPem("the core's authorities", coreCa) };
  const files = tlsFilesOf(coreTlsCert, coreTlsKey);
  return files === undefined ? ca : { ...ca, ...await readTls(files) };
}
