// Deno.serve and Bun.serve. Both limit headers and the time for them on their own; the body's size is the handler's matter
// (shared/request-body.ts).

import { listenError, serveUrl } from "../serve.ts";
import type { Exchange, Served, ServeOptions, ServeTls } from "../serve.ts";

interface DenoServer {
  readonly addr: { readonly port: number };
  shutdown(): Promise<void>;
  readonly finished: Promise<void>;
}
interface DenoGlobal {
  serve(
    options: {
      hostname: string;
      port: number;
      signal: AbortSignal;
      onListen: () => void;
      cert?: string;
      key?: string;
    },
    handler: (
      request: Request,
      info: { readonly remoteAddr: { readonly hostname?: string } },
    ) => Response | Promise<Response>,
  ): DenoServer;
}
interface BunServer {
  readonly port: number;
  requestIP(request: Request): { readonly address: string } | null;
  stop(closeActive?: boolean): Promise<void>;
}
interface BunGlobal {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    maxRequestBodySize: number;
    tls?: { cert: string; key: string; ca?: string; requestCert?: boolean; rejectUnauthorized?: boolean };
    fetch: (request: Request, server: BunServer) => Response | Promise<Response>;
  }): BunServer;
}

/** Serves with Deno.serve; `maxConnections`, `maxHeaderBytes` and the timeouts are Deno's own. */
export async function serveOnDeno({ fetch, hostname, port, tls }: ServeOptions): Promise<Served> {
  if (tls?.clientCa !== undefined) throw new Error("Deno's server cannot ask clients for a certificate");
  const secure = tls === undefined ? {} : { cert: tls.cert, key: tls.key };
  const { Deno } = globalThis as unknown as { Deno: DenoGlobal };
  const cut = new AbortController();
  let server: DenoServer;
  try {
    const listen = { hostname, port, signal: cut.signal, onListen: () => {}, ...secure };
    server = Deno.serve(listen, (request, { remoteAddr }) => fetch(request, exchangeOf(remoteAddr.hostname)));
  } catch (error) {
    throw listenError(error, hostname, port);
  }
  return served(serveUrl(hostname, server.addr.port, tls), server.addr.port, () => server.shutdown(), () => {
    cut.abort();
    return server.finished;
  });
}

/** Serves with Bun.serve; `maxConnections`, `maxHeaderBytes` and `headersTimeoutMs` are Bun's own. */
export async function serveOnBun(options: ServeOptions): Promise<Served> {
  const { Bun } = globalThis as unknown as { Bun: BunGlobal };
  const { fetch, hostname, port, tls } = options;
  const clients = tls?.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  let server: BunServer;
  try {
    server = Bun.serve({
      hostname,
      port,
      fetch: (request, own) => fetch(request, exchangeOf(own.requestIP(request)?.address)),
      idleTimeout: Math.min(255, Math.ceil((options.keepAliveTimeoutMs ?? 65_000) / 1_000)),
      // The handler answers 413 long before this; unlimited would let Bun buffer what nobody reads.
      maxRequestBodySize: 256 * 1024 * 1024,
      ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key, ...clients } }),
    });
  } catch (error) {
    throw listenError(error, hostname, port);
  }
  return served(serveUrl(hostname, server.port, tls), server.port, () => server.stop(), () => server.stop(true));
}

function exchangeOf(address: string | undefined): Exchange {
  return address === undefined ? {} : { address };
}

function useTls(_tls: ServeTls): never {
  throw new Error("This runtime takes another certificate only at its next start");
}

function served(url: string, port: number, finish: () => Promise<void>, cut: () => Promise<void>): Served {
  let closing: Promise<void> | undefined;
  const close = async (deadlineMs: number) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => timer = setTimeout(resolve, deadlineMs, "late"));
    if (await Promise.race([finish(), deadline]) === "late") await cut();
    clearTimeout(timer);
  };
  return { url, port, useTls, close: (deadlineMs) => closing ??= close(deadlineMs) };
}
