// Verifies tokens as the edge does, with settings as an operator writes them and a test's issuer.

import { createTokenAccess } from "../../../edge/auth/identity-provider.ts";
import type { TokenAccess } from "../../../edge/auth/access.ts";
import { PROCESS_MEMORY } from "../../../edge/limits/memory.ts";
import type { KeptLines } from "./log-lines.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { createMetrics } from "../../../shared/runtime/metrics.ts";
import { parseSettings } from "../../../shared/settings/settings.ts";

export interface OwnTokenAccess extends TokenAccess {
  /** The text of /metrics. */
  metrics(): Promise<string>;
  close(): Promise<void>;
}

/** `settings` without their prefix; AUDIENCE is `hub` unless they say otherwise. `clock` yields ms since 1970. */
export function openTokenAccess(
  settings: Readonly<Record<string, string>>,
  { clock = Date.now, logger }: { clock?: () => number; logger?: KeptLines } = {},
): OwnTokenAccess {
  const http = createHttpClient();
  const metrics = createMetrics({ tier: "edge" });
  const environment = { ACCESS: "token", AUDIENCE: "hub", ...settings };
  const access = createTokenAccess({
    settings: parseSettings(
      Object.fromEntries(Object.entries(environment).map(([name, value]) => [`TIDINGS_${name}`, value])),
    ),
    http,
    metrics,
    memory: PROCESS_MEMORY,
    clock,
    now: () => performance.now(),
    ...(logger === undefined ? {} : { logger: logger as never }),
  });
  return {
    ...access,
    metrics: async () => (await metrics.render()).text,
    close: () => http.close(),
  };
}
