// The edge, put together from its settings and from what its runtime gives it: the same for a process and for a Worker.

import type { Digests } from "../shared/digests.ts";
import type { FlightsOptions } from "../shared/flights.ts";
import type { HttpClient } from "../shared/http-client.ts";
import type { EdgeKey } from "../shared/jwks.ts";
import type { Metrics } from "../shared/metrics.ts";
import { type NoteBlocked, notingGuard } from "../shared/outbound/blocked-calls.ts";
import type { OutboundGuard } from "../shared/outbound/guard.ts";
import type { Outbound } from "../shared/outbound/outbound.ts";
import { hostOfUrl } from "../shared/shares/host-of.ts";
import { createOperatingApp } from "../shared/operating-app.ts";
import { pause } from "../shared/pause.ts";
import { createChallenge } from "../shared/random.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { type Access, openAccess, publicAccess, type TokenAccess, tokenAccess } from "./auth/access.ts";
import { createTokenAccess } from "./auth/identity-provider.ts";
import { type CoreClient, createCoreClient } from "./core/core-client.ts";
import { createSessions } from "./core/session.ts";
import { createEdge, type Edge, type EdgeOptions } from "./edge.ts";
import { createAutoVerify } from "./hub/auto-verify.ts";
import { createVerifier, type Verifier } from "./hub/verifier.ts";
import { createLimits, type Limits } from "./limits/limits.ts";
import { type MemoryBounds, PROCESS_MEMORY } from "./limits/memory.ts";
import { createProbes } from "./operating/probes.ts";

export interface EdgeParts {
  readonly settings: Settings;
  readonly metrics: Metrics;
  /** The client of the cores. */
  readonly http: HttpClient;
  /** The client of identity providers. */
  readonly issuerHttp: HttpClient;
  readonly key: EdgeKey;
  readonly digests: Digests;
  readonly outbound: Outbound;
  readonly guard: OutboundGuard;
  readonly noteBlocked: NoteBlocked;
  /** Monotonic ms. */
  readonly now: () => number;
  /** ms since 1970. */
  readonly clock: () => number;
  /** How long this process itself has been late in all, ms. Default always 0. */
  readonly busyMs?: () => number;
  /** What it keeps in memory at most. Default a process's. */
  readonly memory?: MemoryBounds;
  /** How requests share work. */
  readonly flights?: FlightsOptions;
}

export interface AssembledEdge {
  readonly edge: Edge;
  /** Answers operators (WIRE §8), on a listener of their own: it has neither limits nor access. */
  readonly operating: (request: Request) => Response | Promise<Response>;
  readonly limits: Limits;
  /** Fetches the keys of the issuers of tokens, if there are any. Never rejects; what is wrong is logged. */
  readonly fetchKeys: () => Promise<void>;
}

/** Puts an edge together. Nothing is opened, and nothing is called yet. */
export function assembleEdge(parts: EdgeParts): AssembledEdge {
  const { settings, metrics, now, guard, noteBlocked, busyMs, memory = PROCESS_MEMORY, flights } = parts;
  const core = coreOf(parts);
  const tokens = tokensOf(parts);
  const limits = createLimits(settings, metrics, { now, busyMs, memory });
  const probes = createProbes({ core, now, flights });
  const edge = createEdge({
    core,
    verifier: verifierOf(parts, core, limits),
    access: accessOf(settings, tokens),
    limits,
    ...autoVerifyOf(settings),
    metrics,
    rules: { ...settings, guard: notingGuard(guard, noteBlocked) },
    messageMaxBytes: settings.messageMaxBytes,
    compactJson: settings.compactJson,
    hubUrl: settings.hubUrl,
    probes,
    now,
  });
  const operating = createOperatingApp({ probes, metrics, now, flights });
  return { edge, operating, limits, fetchKeys: async () => await tokens?.fetchKeys() };
}

function coreOf({ settings, metrics, http, key, digests, clock, now, flights }: EdgeParts): CoreClient {
  const retries = metrics.counter("tidings_core_retries_total", "Requests to the core that were repeated");
  return createCoreClient({
    http,
    sessions: createSessions({ http, key, digests, clock, flights }),
    origins: settings.coreUrl,
    clock,
    now,
    pause,
    random: () => Math.random(),
    onRetry: () => retries.inc(),
  });
}

function verifierOf(
  { settings, metrics, outbound, clock, now }: EdgeParts,
  core: CoreClient,
  limits: Limits,
): Verifier {
  return createVerifier({
    core,
    outbound,
    metrics,
    now,
    clock,
    challenge: createChallenge,
    pause,
    method: settings.verification === "ping" ? { by: "ping", signature: settings.signature } : { by: "challenge" },
    onVerified: ({ requester, callback }) => limits.verifications.giveBack(requester, hostOfUrl(callback)),
  });
}

function tokensOf(parts: EdgeParts): TokenAccess | undefined {
  const { settings, metrics, issuerHttp, clock, now, memory = PROCESS_MEMORY, flights } = parts;
  if (settings.access !== "token") return undefined;
  return createTokenAccess({ settings, http: issuerHttp, metrics, clock, now, memory, flights });
}

function accessOf({ access }: Settings, tokens: TokenAccess | undefined): Access {
  if (tokens !== undefined) return tokenAccess(tokens);
  return access === "public" ? publicAccess : openAccess;
}

function autoVerifyOf(settings: Settings): Pick<EdgeOptions, "autoVerify" | "onSubscription" | "onUnsubscription"> {
  // While it is off, every mark would be an error.
  if (settings.autoVerify === "off") return { autoVerify: false };
  // An origin without an issuer belongs to the only one: the settings refuse it where there are several.
  const origins = settings.autoVerifyOrigins.map(({ issuer = settings.issuer[0]!, ...client }) => ({
    issuer,
    ...client,
  }));
  const autoVerify = createAutoVerify(origins);
  return { autoVerify: true, onSubscription: autoVerify, onUnsubscription: autoVerify };
}
