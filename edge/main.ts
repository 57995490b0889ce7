// The edge's process.

import { createNoteBlocked } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import { USER_AGENT } from "../shared/product.ts";
import { watchBusy } from "../shared/runtime/busy.ts";
import { NODE_DIGESTS } from "../shared/runtime/digests.ts";
import { createHttpClient, type TlsHttpClient } from "../shared/runtime/http-client.ts";
import { edgeKey } from "../shared/runtime/keys.ts";
import { createOutbound } from "../shared/runtime/outbound.ts";
import { serve } from "../shared/runtime/serve.ts";
import { followTls, readPem, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { runTier } from "../shared/runtime/tier.ts";
import { assembleEdge } from "./assemble.ts";

/** Parts of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const REQUESTS_DEADLINE_MS = 8_000;
const VERIFICATIONS_DEADLINE_MS = 3_000;

await runTier("edge", async ({ settings, metrics }) => {
  const now = () => performance.now();
  const guard = createOutboundGuard(settings.outboundAllow);
  const noteBlocked = createNoteBlocked(metrics, now);
  const outbound = createOutbound({ guard, userAgent: USER_AGENT, onBlocked: noteBlocked });
  const files = tlsFilesOf(settings.edgeTlsCert, settings.edgeTlsKey);
  const tls = files === undefined ? undefined : await readTls(files);
  const { http, unfollow: unfollowToCore } = await openHttp(settings);
  const busy = watchBusy(now);
  const { edge, limits } = assembleEdge({
    settings,
    metrics,
    http,
    key: await edgeKey(settings),
    digests: NODE_DIGESTS,
    outbound,
    guard,
    noteBlocked,
    now,
    clock: () => Date.now(),
    busyMs: busy.ms,
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
