// What a tier answers on its operating listener (WIRE §8). Its other listener has nothing of this but the probes.

import { Hono } from "hono";
import type { FlightsOptions } from "./flights.ts";
import { createKept } from "./kept.ts";
import type { Metrics } from "./metrics.ts";

export interface OperatingAppOptions {
  readonly probes: {
    /** Whether the tier runs. */
    readonly healthz: () => Response;
    /** Whether it can do its work. */
    readonly readyz: () => Promise<Response>;
  };
  readonly metrics: Metrics;
  /** Monotonic ms. */
  readonly now: () => number;
  /** How requests share the reading of the figures. */
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
    app.all(path, () => plain(405, "This takes GET.", { allow: "GET, HEAD" }));
  }
  app.notFound(() => plain(404, "There is nothing here; /healthz, /readyz and /metrics are."));
  return (request) => app.fetch(request);
}

/** One sentence for people. */
function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
