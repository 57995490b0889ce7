// The client port for hosts that the operator named, cores and identity providers: few hosts, many small requests, connections
// kept open. Calls to addresses that a stranger named go through shared/outbound/outbound.ts.

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

/** The client for runtimes that have only `fetch` (workerd). */
export function createFetchClient(fetchFunction: typeof fetch = fetch): HttpClient {
  const stop = new AbortController();
  async function fetchAnswer(
    { method, origin, path, headers, body }: HttpCall,
    signal: AbortSignal,
  ): Promise<Response> {
    return await fetchFunction(origin + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: body as BodyInit }),
      redirect: "manual",
      signal: AbortSignal.any([stop.signal, signal]),
    });
  }
  const failed = ({ method, origin }: HttpCall, error: unknown) =>
    new HttpClientError(`${method} ${origin}: ${(error as Error).message}`, { cause: error });
  return {
    async send(call) {
      try {
        const response = await fetchAnswer(call, AbortSignal.timeout(call.timeoutMs));
        return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) };
      } catch (error) {
        throw failed(call, error);
      }
    },
    async stream(call) {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(new Error(`no answer in ${call.timeoutMs} ms`)), call.timeoutMs);
      try {
        const { status, headers, body } = await fetchAnswer(call, late.signal);
        return { status, contentType: headers.get("content-type") ?? "", body: body ?? new Blob([]).stream() };
      } catch (error) {
        throw failed(call, error);
      } finally {
        clearTimeout(timer);
      }
    },
    close: async () => stop.abort(new Error("the client is closed")),
  };
}
