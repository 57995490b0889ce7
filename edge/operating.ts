// What operators and their tools ask the edge (WIRE §8).

import type { Metrics } from "../shared/metrics.ts";
import { json, sentence } from "./answers/answers.ts";
import type { CoreClient } from "./core/core-client.ts";

export interface Operating {
  /** Whether the process runs. */
  readonly healthz: () => Response;
  /** Whether a core can be reached. */
  readonly readyz: () => Promise<Response>;
  readonly metrics: () => Promise<Response>;
  /** The same as `readyz`, as MOSIP's charts ask it. */
  readonly actuator: () => Promise<Response>;
}

export function createOperating(core: Pick<CoreClient, "isReady">, metrics: Metrics): Operating {
  return {
    healthz: () => sentence(200, "The edge is up."),
    readyz: async () =>
      await core.isReady()
        ? sentence(200, "The edge is ready.")
        : sentence(503, "The edge cannot reach a core, or no core knows its key; its log says why.", {
          "retry-after": "5",
        }),
    actuator: async () => {
      const ready = await core.isReady();
      return json(ready ? 200 : 503, { status: ready ? "UP" : "DOWN" });
    },
    metrics: async () => {
      const { contentType, text } = await metrics.render();
      return new Response(text, { headers: { "content-type": contentType } });
    },
  };
}
