// A tier that is nothing but the server, which answers a request when it was asked to stop.
import { once } from "node:events";
import { serve } from "../../../../shared/runtime/serve.ts";
import { runTier } from "../../../../shared/runtime/tier.ts";

await runTier("edge", async ({ signal }) => {
  const served = await serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async () => {
      console.log("asked");
      if (!signal.aborted) await once(signal, "abort");
      return new Response("answered after the signal");
    },
  });
  return { url: served.url, operatingUrl: undefined, stop: () => served.close(5_000) };
});
