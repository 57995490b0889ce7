// The edge's process: an open edge, served over HTTP.

import { serve } from "../shared/runtime/serve.ts";
import { serveOperating } from "../shared/runtime/serve-operating.ts";
import { followTls, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import { runTier } from "../shared/runtime/tier.ts";
import { openEdge } from "./open.ts";

/** Of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const REQUESTS_DEADLINE_MS = 8_000;

await runTier("edge", async ({ settings, metrics }) => {
  if (settings.addressHeader !== undefined && settings.trustedProxies.length === 0) {
    throw new Error("TIDINGS_ADDRESS_HEADER is set, so TIDINGS_TRUSTED_PROXIES must say which proxies are believed");
  }
  const files = tlsFilesOf(settings.edgeTlsCert, settings.edgeTlsKey);
  const tls = files === undefined ? undefined : await readTls(files);
  const edge = await openEdge(settings, { metrics });
  const { host: hostname, port } = settings.edgeListen;
  const operating = await serveOperating("edge", edge.operating, settings.edgeOperatingListen);
  const served = await serve({
    fetch: edge.fetch,
    hostname,
    port,
    by: "TIDINGS_EDGE_LISTEN",
    maxConnections: settings.connections,
    maxHeaderBytes: settings.headersMaxBytes,
    headersTimeoutMs: settings.headersTimeoutMs,
    requestTimeoutMs: settings.requestTimeoutMs,
    onRefused: edge.onRefused,
    connectionClaim: edge.connectionClaim,
    tls,
  });
  const unfollow = files === undefined || tls === undefined ? () => {} : followTls(files, tls, served);
  return {
    url: served.url,
    operatingUrl: operating.url,
    stop: async () => {
      unfollow();
      edge.endStreams();
      await served.close(REQUESTS_DEADLINE_MS);
      await edge.close();
      await operating.close();
    },
  };
});
