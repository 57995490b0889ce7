// What the edge answers on its operating listener (WIRE §8). The public listener has nothing of this but the probes.

import { Hono } from "hono";
import type { FlightsOptions } from "../../shared/flights.ts";
import { createKept } from "../../shared/kept.ts";
import type { Metrics } from "../../shared/metrics.ts";
import { sentence } from "../answers/answers.ts";
import type { Probes } from "./probes.ts";

export interface OperatingAppOptions {
  readonly probes: Pick<Probes, "healthz" | "readyz">;
  readonly metrics: Metrics;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly flights?: FlightsOptions | undefined;
}

/** The `fetch` of the operating listener. Figures are read once a second at most. */
export function createOperatingApp(
  { probes, metrics, now, flights }: OperatingAppOptions,
): (request: Request) => Response | Promise<Response> {
  const render = createKept(() => metrics.render(), { now, flights });
  const app = new Hono();
  app.get("/healthz", () => probes.healthz());
  app.get("/readyz", () => probes.readyz());
  app.get("/metrics", async () => {
    const { contentType, text } = await render();
    return new Response(text, { headers: { "content-type": contentType } });
  });
  const paths = app.routes.map(({ path }) => path);
  for (const path of paths) {
    app.all(path, () => sentence(405, "This takes GET.", { allow: "GET, HEAD" }));
  }
  app.notFound(() => sentence(404, "There is nothing here; /healthz, /readyz and /metrics are."));
  return (request) => app.fetch(request);
}
