// An edge in this process in front of a fake core. It is built as in edge/assemble.ts; a test may replace clock, core and network.

import { openAccess } from "../../../edge/auth/access.ts";
import { createCoreClient } from "../../../edge/core/core-client.ts";
import type { CoreClient, CoreClientOptions } from "../../../edge/core/core-client.ts";
import { createEdge } from "../../../edge/edge.ts";
import type { EdgeOptions } from "../../../edge/edge.ts";
import { createLimits } from "../../../edge/limits/limits.ts";
import type { LimitSettings, LimitsOptions } from "../../../edge/limits/limits.ts";
import { createProbes } from "../../../edge/operating/probes.ts";
import { createVerifier } from "../../../edge/hub/verifier.ts";
import { hostOfUrl } from "../../../shared/shares/host-of.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { pause } from "../../../shared/pause.ts";
import { createChallenge } from "../../../shared/random.ts";
import { NODE_DIGESTS } from "../../../shared/runtime/digests.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { createMetrics } from "../../../shared/runtime/metrics.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import type { ServeOptions } from "../../../shared/serve.ts";
import { createSessions } from "../../../edge/core/session.ts";
import { EDGE_KEY } from "../keys.ts";
import { RULES } from "./lease-rules.ts";

export interface OwnEdge {
  /** scheme://host:port */
  readonly url: string;
  readonly port: number;
  /** The text of /metrics, as it is now. */
  metrics(): Promise<string>;
  endStreams(): void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const LOOPBACK_GUARD = createOutboundGuard(["127.0.0.0/8", "::1/128"]);

/** A client of these cores, and how to close it. Time is real by default. */
export function openCoreClient(
  origins: readonly string[],
  options: Partial<CoreClientOptions> = {},
): { core: CoreClient; close: () => Promise<void> } {
  const http = createHttpClient();
  const clock = () => Date.now();
  const core = createCoreClient({
    http,
    sessions: createSessions({ http, key: EDGE_KEY, digests: NODE_DIGESTS, clock }),
    origins,
    clock,
    now: () => performance.now(),
    pause,
    random: () => Math.random(),
    ...options,
  });
  return { core, close: () => http.close() };
}

const NO_LIMITS = {
  trustedProxies: [],
  requestsPerAddress: 0,
  requestsPerClient: 0,
  verificationsPerHost: 0,
  overloadAfterMs: 10_000,
  urlMaxBytes: 1_000_000,
  messageMaxBytes: 1_000_000,
};

/** Opens an edge on a free port of 127.0.0.1 in front of these cores. */
export async function openEdge(
  origins: readonly string[],
  { client = {}, server = {}, limits: limited = {}, memory, bodyPatience, ...edgeOptions }:
    & Omit<Partial<EdgeOptions>, "limits">
    & { limits?: Partial<LimitSettings>; client?: Partial<CoreClientOptions>; server?: Partial<ServeOptions> }
    & Pick<LimitsOptions, "memory" | "bodyPatience"> = {},
): Promise<OwnEdge> {
  const { core, close: closeClient } = openCoreClient(origins, client);
  const outbound = createOutbound({ guard: LOOPBACK_GUARD, userAgent: "test" });
  const now = () => performance.now();
  const metrics = createMetrics({ tier: "edge" });
  const limits = createLimits({ ...NO_LIMITS, ...limited }, metrics, { now, memory, bodyPatience });
  const onVerified = ({ requester, callback }: { requester: string; callback: string }) => {
    limits.verifications.giveBack(requester, hostOfUrl(callback));
  };
  const edge = createEdge({
    core,
    limits,
    verifier: createVerifier({
      core,
      outbound,
      metrics,
      now,
      clock: () => Date.now(),
      challenge: createChallenge,
      pause,
      onVerified,
    }),
    access: openAccess,
    metrics,
    probes: createProbes({ core, now }),
    rules: { ...RULES, guard: LOOPBACK_GUARD },
    messageMaxBytes: 1_000_000,
    compactJson: [],
    hubUrl: "http://hub.example/hub",
    now,
    ...edgeOptions,
  });
  const served = await serve({ fetch: edge.fetch, hostname: "127.0.0.1", port: 0, ...server });
  const close = async () => {
    await served.close(0);
    await edge.close(0);
    await Promise.all([outbound.close(), closeClient()]);
  };
  return {
    url: served.url,
    port: served.port,
    metrics: async () => (await metrics.render()).text,
    endStreams: () => edge.endStreams(),
    close,
    [Symbol.asyncDispose]: close,
  };
}
