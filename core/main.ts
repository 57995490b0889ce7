// The core's process: an open core, served over HTTP.
import { CORE_MAX_HEADER_BYTES } from "../shared/core-api.ts";
import { serve } from "../shared/runtime/serve.ts";
import { serveOperating } from "../shared/runtime/serve-operating.ts";
import { followTls, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import { runTier } from "../shared/runtime/tier.ts";
import { openCore } from "./open.ts";

/** Of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const REQUESTS_DEADLINE_MS = 3_000;

await runTier("core", async ({ settings, metrics, signal, fail }) => {
  const files = tlsFilesOf(settings.coreTlsCert, settings.coreTlsKey, settings.coreClientCa);
  const tls = files === undefined ? undefined : await readTls(files);
  const core = await openCore(settings, { metrics, signal, onFatal: fail });
  const { host: hostname, port } = settings.coreListen;
  const operating = await serveOperating("core", core.operating, settings.coreOperatingListen);
  const served = await serve({
    fetch: core.fetch,
    hostname,
    port,
    by: "TIDINGS_CORE_LISTEN",
    maxHeaderBytes: CORE_MAX_HEADER_BYTES,
    tls,
  });
  const unfollow = files === undefined || tls === undefined ? () => {} : followTls(files, tls, served);
  return {
    url: served.url,
    operatingUrl: operating.url,
    stop: async () => {
      unfollow();
      core.endStreams();
      await served.close(REQUESTS_DEADLINE_MS);
      await core.close();
      await operating.close();
    },
  };
});
