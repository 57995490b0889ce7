// An edge on Node, Deno or Bun, ready to be served: by main.ts, or by a server of your own.

import { createNoteBlocked } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import type { Metrics } from "../shared/metrics.ts";
import { USER_AGENT } from "../shared/product.ts";
import { watchBusy } from "../shared/runtime/busy.ts";
import { NODE_DIGESTS } from "../shared/runtime/digests.ts";
import { createHttpClient, type TlsHttpClient } from "../shared/runtime/http-client.ts";
import { edgeKey } from "../shared/runtime/keys.ts";
import { createMetrics } from "../shared/runtime/metrics.ts";
import { createOutbound } from "../shared/runtime/outbound.ts";
import { followTls, readAuthorities, readTls, tlsFilesOf } from "../shared/runtime/tls-files.ts";
import type { ServeOptions } from "../shared/serve.ts";
import type { Settings } from "../shared/settings/settings.ts";
import { assembleEdge } from "./assemble.ts";

export interface OpenEdge {
  /** Answers a request; never rejects. The second argument is what the server knows of its connection. */
  readonly fetch: ServeOptions["fetch"];
  /** Answers operators at EDGE_OPERATING_LISTEN (WIRE §8). It asks nobody who they are, so strangers must not reach it. */
  readonly operating: (request: Request) => Response | Promise<Response>;
  /** Counts what the server itself refuses. */
  readonly onRefused: NonNullable<ServeOptions["onRefused"]>;
  /** Whose share of the server's connections a peer's takes. */
  readonly connectionClaim: NonNullable<ServeOptions["connectionClaim"]>;
  /** Ends the streams of missed messages, which would otherwise keep their requests open. */
  endStreams(): void;
  /** Called after the last request: lets verifications in flight end, for 3 s at most, and closes the clients. */
  close(): Promise<void>;
}

/** Of the 15 s that a tier has to stop (shared/runtime/tier.ts). */
const VERIFICATIONS_DEADLINE_MS = 3_000;

/**
 * Opens an edge. The cores are not called before the first request; the issuers' keys are fetched in the background. The server in front
 * obeys EDGE_LISTEN, EDGE_TLS_… and the limits of connections and headers. `metrics`: default a registry of its own.
 * @throws {Error} a sentence for people, if a key or a certificate cannot be read
 */
export async function openEdge(
  settings: Settings,
  { metrics = createMetrics({ tier: "edge" }) }: { readonly metrics?: Metrics } = {},
): Promise<OpenEdge> {
  const now = () => performance.now();
  const guard = createOutboundGuard(settings.outboundAllow);
  const noteBlocked = createNoteBlocked(metrics, now);
  const outbound = createOutbound({ guard, userAgent: USER_AGENT, onBlocked: noteBlocked });
  const key = await edgeKey(settings);
  const { http, unfollow } = await openHttp(settings);
  const issuerHttp = await openIssuerHttp(settings);
  const busy = watchBusy(now);
  const { edge, operating, limits, fetchKeys } = assembleEdge({
    settings,
    metrics,
    http,
    issuerHttp,
    key,
    digests: NODE_DIGESTS,
    outbound,
    guard,
    noteBlocked,
    now,
    clock: () => Date.now(),
    busyMs: busy.ms,
  });
  // In the background: an identity provider that is away, or is another one, is logged before the first token comes.
  void fetchKeys();
  return {
    fetch: edge.fetch,
    operating,
    onRefused: limits.count,
    connectionClaim: (address) => limits.connectionClaim(address),
    endStreams: () => edge.endStreams(),
    close: async () => {
      busy.stop();
      unfollow();
      await edge.close(VERIFICATIONS_DEADLINE_MS);
      await Promise.all([outbound.close(), http.close(), issuerHttp.close()]);
    },
  };
}

/**
 * The client of the cores. It trusts the authorities of CORE_CA, and shows the certificate of CORE_TLS_CERT if it is asked for one. A
 * new certificate is taken when the files change.
 */
async function openHttp(
  { coreCa, coreTlsCert, coreTlsKey }: Settings,
): Promise<{ readonly http: TlsHttpClient; readonly unfollow: () => void }> {
  const trusted = coreCa === undefined ? {} : { ca: await readAuthorities("the core's authorities", coreCa) };
  const files = tlsFilesOf(coreTlsCert, coreTlsKey);
  if (files === undefined) return { http: createHttpClient({ tls: trusted }), unfollow: () => {} };
  const own = await readTls(files);
  const http = createHttpClient({ tls: { ...trusted, ...own } });
  return { http, unfollow: followTls(files, own, { useTls: (next) => http.useTls({ ...trusted, ...next }) }) };
}

/** The client of identity providers, which are others than the cores: nothing of CORE_CA and CORE_TLS_… counts for them. */
async function openIssuerHttp({ issuerCa }: Settings): Promise<TlsHttpClient> {
  if (issuerCa === undefined) return createHttpClient();
  return createHttpClient({ tls: { ca: await readAuthorities("the identity providers' authorities", issuerCa) } });
}
