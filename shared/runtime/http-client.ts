// The client between the tiers on Node, Deno and Bun: undici pools, dispatched without streams, since `fetch` on Node costs
// 8 to 12 times as much a request.

import { errorText } from "./error-text.ts";
import { HttpClientError, MAX_REPLY_BYTES } from "../http-client.ts";
import type { ClientTls, HttpCall, HttpClient, HttpReply, HttpStream } from "../http-client.ts";
import { type Dispatcher, Pool } from "../undici.ts";
import { createSystemConnector } from "./system-connect.ts";

export interface HttpClientOptions {
  /** Connections to each origin. Default 128; more calls wait their turn. */
  readonly connections?: number;
  readonly connectTimeoutMs?: number;
  readonly tls?: ClientTls;
}

export interface TlsHttpClient extends HttpClient {
  /** New connections show this certificate; calls in flight go on over the old ones. */
  useTls(tls: ClientTls): void;
}

/** A keep-alive client; opens connections as calls come. */
export function createHttpClient(
  { connections = 128, connectTimeoutMs = 3_000, tls = {} }: HttpClientOptions = {},
): TlsHttpClient {
  let connect = createSystemConnector({ timeoutMs: connectTimeoutMs, tls });
  const pools = new Map<string, Pool>();
  /** Pools with an older certificate, until the calls on them have ended. */
  const leaving = new Set<Pool>();
  const poolOf = (purpose: "calls" | "streams", origin: string): Pool => {
    const name = `${purpose} ${origin}`;
    let pool = pools.get(name);
    if (pool === undefined) {
      // A stream keeps its connection for as long as it lives, so streams have their own: calls never wait behind them.
      const most = purpose === "calls" ? connections : null;
      pool = new Pool(origin, { connections: most, pipelining: 1, connect });
      pools.set(name, pool);
    }
    return pool;
  };
  return {
    send: (call) => send(poolOf("calls", call.origin), call),
    stream: (call) => stream(poolOf("streams", call.origin), call),
    useTls: (next) => {
      connect = createSystemConnector({ timeoutMs: connectTimeoutMs, tls: next });
      for (const pool of pools.values()) {
        leaving.add(pool);
        void pool.close().catch(() => {}).finally(() => leaving.delete(pool));
      }
      pools.clear();
    },
    close: async () => {
      await Promise.all(Array.from([...pools.values(), ...leaving], (pool) => pool.destroy()));
    },
  };
}

function stream(pool: Pool, call: HttpCall): Promise<HttpStream> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let output: ReadableStreamDefaultController<Uint8Array> | undefined;
    let over = false;

    const fail = (message: string, cause?: Error) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      const error = new HttpClientError(`${call.method} ${call.origin}: ${message}`, { cause });
      if (output === undefined) reject(error);
      else output.error(error);
      controller?.abort(error);
    };
    const timer = setTimeout(() => fail(`no answer in ${call.timeoutMs} ms`), call.timeoutMs);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started;
        if (over) started.abort(new Error("too late"));
      },
      onResponseStart: (started, status, headers) => {
        clearTimeout(timer);
        started.pause();
        const body = new ReadableStream<Uint8Array>({
          start: (made) => void (output = made),
          pull: () => started.resume(),
          cancel: () => {
            over = true;
            started.abort(new Error("the rest is not wanted"));
          },
        }, { highWaterMark: 0 });
        resolve({ status, contentType: String(headers["content-type"] ?? ""), body });
      },
      onResponseData: (started, chunk) => {
        // After a pause the parser may begin with an empty chunk, and would do so for ever.
        if (chunk.length === 0) return;
        // Paused before the chunk is handed over: a consumer that waits for more resumes at that moment.
        started.pause();
        output?.enqueue(chunk);
      },
      onResponseEnd: () => {
        if (over) return;
        over = true;
        output?.close();
      },
      onResponseError: (_controller, error) => fail(whyOf(error), error),
    };
    dispatch(pool, call, handler, fail);
  });
}

function send(pool: Pool, call: HttpCall): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let settled = false;
    let status = 0;
    let size = 0;
    const chunks: Uint8Array[] = [];

    const fail = (message: string, cause?: Error) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      reject(new HttpClientError(`${call.method} ${call.origin}: ${message}`, { cause }));
      controller?.abort(new Error(message));
    };
    const timer = setTimeout(() => fail(`no answer in ${call.timeoutMs} ms`), call.timeoutMs);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started;
        if (settled) started.abort(new Error("too late"));
      },
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        size += chunk.length;
        if (size > MAX_REPLY_BYTES) fail("the answer is too long");
        else chunks.push(chunk);
      },
      onResponseEnd: () => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        resolve({ status, body: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) });
      },
      onResponseError: (_controller, error) => fail(whyOf(error), error),
    };
    dispatch(pool, call, handler, fail);
  });
}

function dispatch(
  pool: Pool,
  { path, method, headers, body }: HttpCall,
  handler: Dispatcher.DispatchHandler,
  fail: (message: string, cause: Error) => void,
): void {
  try {
    pool.dispatch({ path, method, headers, body: body ?? null, headersTimeout: 0, bodyTimeout: 0 }, handler);
  } catch (error) {
    fail(whyOf(error as Error), error as Error);
  }
}

/** Where a name has several addresses, the error of connecting has no message, and one error for each of them. */
function whyOf(error: Error): string {
  return error.message === "" ? errorText(error) : error.message;
}
