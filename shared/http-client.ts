// The client port for hosts that the operator named, cores and identity providers: few hosts, many small requests, connections
// kept open. Calls to addresses that a stranger named go through shared/outbound/outbound.ts.

import { readParts } from "./request-body.ts";

export interface HttpCall {
  readonly method: "GET" | "POST";
  /** scheme://host:port */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array | string;
  /** From now to the last byte of the answer, ms. */
  readonly timeoutMs: number;
}

export interface HttpReply {
  readonly status: number;
  readonly body: Uint8Array;
}

/** An answer whose body is read as it is wanted; cancelling it ends the call. */
export interface HttpStream {
  readonly status: number;
  readonly contentType: string;
  readonly body: ReadableStream<Uint8Array>;
}

/** There was no complete answer. Whether the request was acted upon is not known. */
export class HttpClientError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "HttpClientError";
  }
}

/** PEM texts: the authorities to trust instead of the system's, and the certificate to show if asked. */
export interface ClientTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface HttpClient {
  /** @throws {HttpClientError} if no complete answer of at most 16 MiB came in time */
  send(call: HttpCall): Promise<HttpReply>;
  /**
   * Resolves with the answer's head; `timeoutMs` is until then. At most one part is read ahead of the consumer.
   * @throws {HttpClientError} if no head came in time
   */
  stream(call: HttpCall): Promise<HttpStream>;
  close(): Promise<void>;
}

export const MAX_REPLY_BYTES = 16 * 1024 * 1024;

/**
 * The client for runtimes that have only `fetch` (workerd). Each call has its own signal: a Worker's requests may not share one. The
 * connections are the runtime's, so there is nothing to close.
 */
export function createFetchClient(fetchFunction: typeof fetch = fetch): HttpClient {
  /** Calls, and gives up the call if `read` has not ended in time. */
  async function inTime<T>(call: HttpCall, read: (response: Response) => Promise<T>): Promise<T> {
    const { method, origin, path, headers, body, timeoutMs } = call;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    const sent = body === undefined ? {} : { body: body as BodyInit };
    try {
      return await read(
        await fetchFunction(origin + path, { method, headers, ...sent, redirect: "manual", signal: over.signal }),
      );
    } catch (error) {
      // An answer that is too long ends here.
      over.abort(error);
      throw new HttpClientError(`${method} ${origin}: ${(error as Error).message}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    send: (call) =>
      inTime(call, async ({ status, body }) => {
        const bytes = body === null ? new Uint8Array(0) : await readParts(body.getReader(), MAX_REPLY_BYTES);
        return { status, body: bytes };
      }),
    stream: (call) =>
      inTime(call, async ({ status, headers, body }) => {
        return { status, contentType: headers.get("content-type") ?? "", body: body ?? new Blob([]).stream() };
      }),
    close: async () => {},
  };
}
