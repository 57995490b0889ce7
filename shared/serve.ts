// The serving port: one fetch handler behind a listening socket. The adapter of Node, Deno and Bun is shared/runtime/serve.ts.

/** What a runtime tells about a request beside the Request itself. A Worker knows at most the address. */
export interface Exchange {
  /** The peer's address, as its socket says. */
  readonly address?: string | undefined;
  /** The target as it stood in the request's first line; `request.url` may be normalised. */
  readonly target?: string;
  /** Begins no other request of this connection for so long, ms: a client that repeats at once has to wait. Rests add up. */
  readonly rest?: (ms: number) => void;
  /** Breaks the connection off, so that the client sees that the answer it has is not whole. */
  readonly breakOff?: () => void;
  /** Ends the answer when the client ends its side: one that goes on for hours may be nobody's then. */
  readonly endWithClient?: () => void;
  /** The request's body on its way. */
  readonly flow?: BodyFlow;
}

/** A body on its way, beside whoever reads it. */
export interface BodyFlow {
  /** Tells how many bytes each part has that comes; to be called just before the body is read. */
  watch(onPart: (bytes: number) => void): void;
  /** Lets nothing more come for now. */
  pause(): void;
  resume(): void;
  /** Lets go of what has come since `watch`, and of its reader, which hears nothing more. */
  drop(): void;
}

/** What a server refuses before a handler sees it. */
export type ServerLimit = "connections" | "idle" | "headers" | "deadline";

/** Who opens a connection, as in a claim of shared/shares/standing.ts. */
export interface ConnectionClaim {
  readonly requester: string;
  readonly host: string;
}

/** PEM texts. `clientCa`: only clients with a certificate of these authorities are answered. */
export interface ServeTls {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

export interface ServeOptions {
  readonly fetch: (request: Request, exchange?: Exchange) => Response | Promise<Response>;
  readonly hostname: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** What says where to listen, such as a setting's name; a port that cannot be had is told with it. */
  readonly by?: string;
  /** Default: plain HTTP. */
  readonly tls?: ServeTls | undefined;
  /**
   * Where there are so many connections, an idle one of whoever has most is closed ("idle"), or one whose request is not whole, else the new
   * one ("connections"). Default: no limit.
   */
  readonly maxConnections?: number;
  /** Whose share of them a peer's connection takes; undefined for one that shares with nobody. Default: none shares. */
  readonly connectionClaim?: (address: string | undefined) => ConnectionClaim | undefined;
  /** Request line and headers together, bytes. Default 16 KiB; more is 431, and so are more than 100 headers. */
  readonly maxHeaderBytes?: number;
  /** Until the headers are complete, ms. Default 10 s; later is 408. */
  readonly headersTimeoutMs?: number;
  /** Until the body is complete, ms. Default 60 s; later is 408. */
  readonly requestTimeoutMs?: number;
  /**
   * How long the answer to a GET may stand still, ms: its client takes nothing, or nothing comes for it. Default 60 s.
   */
  readonly stallTimeoutMs?: number;
  /** Called for each request that the server itself refuses. */
  readonly onRefused?: (limit: ServerLimit) => void;
  /** How long an idle connection stays open, ms. Default 65 s: longer than clients and proxies keep theirs. */
  readonly keepAliveTimeoutMs?: number;
}

export interface Served {
  /** scheme://host:port, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Serves new connections with this certificate. @throws {Error} where the runtime cannot change it, or it is wrong */
  useTls(tls: ServeTls): void;
  /** Takes no new connections, lets requests in flight end, and cuts what is left after `deadlineMs`. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

/** host:port, with an IPv6 host in brackets, as in a URL. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

export function serveUrl(hostname: string, port: number, tls?: ServeTls): string {
  return `${tls === undefined ? "http" : "https"}://${hostAndPort(hostname, port)}`;
}

/** The error of a port that cannot be listened on, as a sentence for people. */
export function listenError(
  error: unknown,
  { hostname, port, by }: Pick<ServeOptions, "hostname" | "port" | "by">,
): Error {
  const what = `Cannot listen on ${hostAndPort(hostname, port)}${by === undefined ? "" : ` (${by})`}`;
  const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown };
  if (code === "EADDRINUSE" || name === "AddrInUse") {
    return new Error(`${what}: port ${port} is already in use`, { cause: error });
  }
  if (code === "EACCES" || name === "PermissionDenied") {
    return new Error(`${what}: port ${port} needs more rights than this process has`, {
      cause: error,
    });
  }
  return new Error(`${what}: ${String(message)}`, { cause: error });
}
