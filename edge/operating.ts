// What operators and their tools ask the edge (WIRE §8).

import type { Env, Hono } from "hono";
import type { Metrics } from "../shared/metrics.ts";
import { json, sentence } from "./answers.ts";
import type { CoreClient } from "./core-client.ts";

/** Adds /healthz, /readyz, /metrics, and MOSIP's /hub/actuator/health. */
export function addOperating<E extends Env>(app: Hono<E>, core: Pick<CoreClient, "isReady">, metrics: Metrics): void {
  app.get("/healthz", () => sentence(200, "The edge is up."));
  app.get(
    "/readyz",
    async () =>
      await core.isReady() ? sentence(200, "The edge is ready.") : sentence(503, "The edge cannot reach the core.", {
        "retry-after": "5",
      }),
  );
  app.get("/hub/actuator/health", async () => {
    const ready = await core.isReady();
    return json(ready ? 200 : 503, { status: ready ? "UP" : "DOWN" });
  });
  app.get("/metrics", async () => {
    const { contentType, text } = await metrics.render();
    return new Response(text, { headers: { "content-type": contentType } });
  });
}
