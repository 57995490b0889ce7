// The outbound port on Node, Deno and Bun: undici under the guard. Own connection limits, no redirect unless asked and each
// hop guarded, body capped before and after decompression, one deadline over everything (WIRE §7).

import type { IncomingHttpHeaders } from "node:http";
import type { NoteBlocked } from "../outbound/blocked-calls.ts";
import { parseHttpUrl, UrlError } from "../http-url.ts";
import { HEAD_MAX_BYTES } from "../request-head.ts";
import type { HttpUrl } from "../http-url.ts";
import { ForbiddenAddressError } from "../outbound/guard.ts";
import type { ForbiddenReason } from "../outbound/guard.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../outbound/outbound.ts";
import { socketReason } from "../outbound/socket-reason.ts";
import { errorText } from "./error-text.ts";
import { decompress } from "./decompress.ts";
import { createGuardedConnector } from "./guarded-connect.ts";
import type { GuardedConnectOptions } from "./guarded-connect.ts";
import { capabilities } from "./process.ts";
import { OriginPools } from "../outbound/origin-pools.ts";
import type { Dispatcher } from "../undici.ts";

export interface OutboundOptions extends GuardedConnectOptions {
  readonly userAgent: string;
  /** Calls in flight to one origin; more wait, inside their own deadline. Default `MOST_TO_ONE_ORIGIN`. */
  readonly connectionsPerOrigin?: number;
  /** Called for each call that the guard refuses. */
  readonly onBlocked?: NoteBlocked;
}

type Answer = Extract<OutboundAnswer, { kind: "answer" }>;
type Failed = Extract<OutboundAnswer, { kind: "failed" }>;

/** One hop of a call. */
interface Hop {
  readonly url: HttpUrl;
  /** The URL as it was given. */
  readonly shown: string;
  readonly method: "GET" | "POST";
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | undefined;
}

const REDIRECTS = [301, 302, 303, 307, 308];
/** Early answers (1xx) before the answer; more are a flood. */
const MOST_EARLY = 100;
/**
 * More than the shares of verifications, fetches and notices together allow to one host: no call waits for the connection of another's.
 */
const MOST_TO_ONE_ORIGIN = 1_024;
/** Origins with connections of their own. */
const MOST_POOLS = 512;

/** Opens nothing yet; connections are made per origin when called, and closed 4 s after their last use. */
export function createOutbound(options: OutboundOptions): Outbound {
  const pools = new OriginPools({
    connect: createGuardedConnector(options),
    connections: options.connectionsPerOrigin ?? MOST_TO_ONE_ORIGIN,
    most: MOST_POOLS,
  });

  async function call(request: OutboundRequest): Promise<OutboundAnswer> {
    const deadline = performance.now() + request.deadlineMs;
    let { method, url: shown, body } = request;
    for (let left = request.maxRedirects ?? 0;; left--) {
      const url = judged(shown, request, options);
      if ("kind" in url) return url;
      const headers = { "user-agent": options.userAgent, accept: "*/*", ...request.headers };
      const answer = await exchange(
        pools,
        { url, shown, method, headers, body },
        request,
        options,
        deadline - performance.now(),
      );
      if (answer.kind === "failed") return answer;
      const location = REDIRECTS.includes(answer.status) ? answer.headers["location"] : undefined;
      if (left <= 0 || location === undefined) return await decoded(answer, request.maxBytes);
      const next = resolveLocation(location, shown);
      if (next === null) return failed("network", `redirected to "${location.slice(0, 200)}", which is not a URL`);
      if (next.length > HEAD_MAX_BYTES) return failed("network", `redirected to a URL of ${next.length} characters`);
      shown = next;
      // RFC 9110 §15.4: 307 and 308 repeat the request, the others become a GET.
      if (answer.status !== 307 && answer.status !== 308) [method, body] = ["GET", undefined];
    }
  }

  return { supports: { pinning: capabilities().pinning }, call, close: () => pools.close() };
}

/** Notes a call that is not made. */
function blocked(
  { path }: OutboundRequest,
  { onBlocked }: OutboundOptions,
  reason: ForbiddenReason,
  host: string,
  text: string,
): Failed {
  onBlocked?.({ path, reason, host });
  return failed("forbidden", text);
}

function judged(shown: string, request: OutboundRequest, options: OutboundOptions): HttpUrl | Failed {
  try {
    const url = parseHttpUrl(shown);
    const verdict = options.guard.judgeUrl(url);
    if (verdict === null) return url;
    return blocked(request, options, verdict.reason, url.host, `the URL ${verdict.clause}`);
  } catch (error) {
    if (error instanceof UrlError) return blocked(request, options, "url", "", `the URL ${error.message}`);
    throw error;
  }
}

function resolveLocation(location: string, base: string): string | null {
  try {
    // A header's characters are bytes; those of a URL are UTF-8.
    const url = new URL(Buffer.from(location, "latin1").toString("utf8"), base);
    url.hash = "";
    return url.href;
  } catch {
    return null;
  }
}

async function decoded(answer: Answer, maxBytes: number): Promise<OutboundAnswer> {
  const encoding = answer.headers["content-encoding"];
  if (encoding === undefined || answer.body.length === 0) return answer;
  const result = await decompress(answer.body, encoding, maxBytes);
  if (result.kind === "unknown") return answer;
  if (result.kind === "too_large") return failed("too_large", `more than ${maxBytes} bytes unpacked`);
  if (result.kind === "garbage") return failed("network", result.reason);
  const { "content-encoding": _encoding, "content-length": _length, ...headers } = answer.headers;
  return { ...answer, headers, body: result.body };
}

/** One request and its whole answer. Settles by the deadline, whatever the other side does. */
function exchange(
  pools: OriginPools,
  hop: Hop,
  request: OutboundRequest,
  options: OutboundOptions,
  timeoutMs: number,
): Promise<Answer | Failed> {
  return new Promise((resolve) => {
    let controller: Dispatcher.DispatchController | undefined;
    let settled = false;
    let status = 0;
    let headers: Record<string, string> = {};
    let size = 0;
    let early = 0;
    const chunks: Uint8Array[] = [];

    const settle = (answer: Answer | Failed) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", onAbort);
      resolve(answer);
      if (answer.kind === "failed") controller?.abort(new Error(answer.reason));
    };
    const onAbort = () => settle(failed("aborted", "aborted"));
    const timer = setTimeout(() => settle(failed("timeout", "no complete answer in time")), Math.max(0, timeoutMs));
    if (request.signal?.aborted === true) return onAbort();
    request.signal?.addEventListener("abort", onAbort);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started;
        // The deadline passed while this waited for a connection: it must not go out now.
        if (settled) started.abort(new Error("too late"));
      },
      onResponseStart: (_controller, statusCode, received) => {
        if (statusCode < 200) {
          if (++early > MOST_EARLY) settle(failed("network", `more than ${MOST_EARLY} early answers`));
          return;
        }
        status = statusCode;
        headers = flatten(received);
      },
      onResponseData: (_controller, chunk) => {
        size += chunk.length;
        if (size > request.maxBytes) settle(failed("too_large", `more than ${request.maxBytes} bytes`));
        else chunks.push(chunk);
      },
      onResponseEnd: () => {
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
        settle({ kind: "answer", status, headers, body, url: hop.shown });
      },
      onResponseError: (_controller, error) => {
        if (!(error instanceof ForbiddenAddressError)) settle(broken(error));
        else if (!settled) settle(blocked(request, options, error.reason, hop.url.host, error.message));
      },
    };
    try {
      pools.of(hop.url.origin, request.requester).dispatch({
        path: hop.url.target,
        method: hop.method,
        headers: hop.headers,
        body: hop.body ?? null,
      }, handler);
    } catch (error) {
      settle(broken(error as Error));
    }
  });
}

function flatten(received: IncomingHttpHeaders): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(received)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return headers;
}

function broken(error: Error): Failed {
  return { ...failed("network", describe(error)), told: socketReason(error) };
}

function describe(error: Error): string {
  // Where a name has several addresses, the error of connecting has no message, and one error for each of them.
  if (error.message === "") return errorText(error);
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined || error.message.includes(code) ? error.message : `${code}: ${error.message}`;
}

function failed(code: Failed["code"], reason: string): Failed {
  return { kind: "failed", code, reason };
}
