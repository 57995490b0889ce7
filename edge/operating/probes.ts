// Whether the edge runs and whether it is ready, as load balancers and MOSIP's charts ask it (WIRE §8). Anyone can ask, and no limit
// holds, so an answer costs next to nothing: the cores are asked once a second at most.

import type { FlightsOptions } from "../../shared/flights.ts";
import { createKept } from "../../shared/kept.ts";
import { json, sentence } from "../answers/answers.ts";
import type { CoreClient } from "../core/core-client.ts";

export interface Probes {
  /** Whether the process runs. */
  readonly healthz: () => Response;
  /** Whether a core can be reached. */
  readonly readyz: () => Promise<Response>;
  /** The same as `readyz`, as MOSIP's charts ask it. */
  readonly actuator: () => Promise<Response>;
}

export interface ProbesOptions {
  readonly core: Pick<CoreClient, "isReady">;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly flights?: FlightsOptions | undefined;
}

export function createProbes({ core, now, flights }: ProbesOptions): Probes {
  const isReady = createKept(() => core.isReady(), { now, flights });
  return {
    healthz: () => sentence(200, "The edge is up."),
    readyz: async () =>
      await isReady()
        ? sentence(200, "The edge is ready.")
        : sentence(503, "The edge cannot reach a core, or no core knows its key; its log says why.", {
          "retry-after": "5",
        }),
    actuator: async () => {
      const ready = await isReady();
      return json(ready ? 200 : 503, { status: ready ? "UP" : "DOWN" });
    },
  };
}
