// Asks an identity provider. The operator named its addresses, so the outbound guard does not apply; size and time are capped,
// and redirects are not followed (WIRE §6).

import type { HttpClient } from "../../shared/http-client.ts";
import { readParts } from "../../shared/request-body.ts";

export interface IssuerCall {
  /** Absolute http(s) URL. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A form to POST; without it the call is a GET. */
  readonly form?: string;
  /** The time that it may take, ms. Default 5 s. */
  readonly withinMs?: number;
}

/** There was no answer, or it was not a JSON object of at most 512 KiB. */
export class IssuerError extends Error {
  /** The status of an answer that was not 200. */
  readonly status: number | undefined;
  /** The `error` of a 400 or 401 (RFC 6749 §5.2). */
  readonly code: string | undefined;
  constructor(message: string, options?: ErrorOptions & { status?: number; code?: string | undefined }) {
    super(message, options);
    this.name = "IssuerError";
    this.status = options?.status;
    this.code = options?.code;
  }
}

/** A JSON object from a 200. @throws {IssuerError} */
export type AskIssuer = (call: IssuerCall) => Promise<Readonly<Record<string, unknown>>>;

const MAX_BYTES = 512 * 1_024;
const DEADLINE_MS = 5_000;

export function createAskIssuer(
  http: Pick<HttpClient, "stream">,
  { maxBytes = MAX_BYTES, deadlineMs = DEADLINE_MS } = {},
): AskIssuer {
  return async ({ url, headers = {}, form, withinMs = deadlineMs }) => {
    const { origin, pathname, search } = new URL(url);
    const begun = performance.now();
    try {
      const { status, body } = await http.stream({
        method: form === undefined ? "GET" : "POST",
        origin,
        path: `${pathname}${search}`,
        headers: {
          accept: "application/json",
          ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
          ...headers,
        },
        ...(form === undefined ? {} : { body: form }),
        timeoutMs: Math.max(1, Math.round(withinMs)),
      });
      const read = async () => parseObject(await readInTime(body, maxBytes, withinMs - (performance.now() - begun)));
      if (status === 200) return await read();
      if (status !== 400 && status !== 401) {
        await body.cancel();
        throw new IssuerError(`${url} answered ${status}`, { status });
      }
      const code = await read().then(({ error }) => error, () => undefined);
      const isCode = typeof code === "string" && /^[a-z_]{1,40}$/.test(code);
      throw new IssuerError(`${url} answered ${status}${isCode ? ` ${code}` : ""}`, {
        status,
        code: isCode ? code : undefined,
      });
    } catch (cause) {
      if (cause instanceof IssuerError) throw cause;
      throw new IssuerError(`${url} gave no answer that can be used: ${whyOf(cause as Error)}`, { cause });
    }
  };
}

/** Why there was no answer. A runtime's own advice about an unknown authority would not help: this hub has a setting for it. */
function whyOf(error: Error): string {
  const isUnknown = UNKNOWN_AUTHORITY.test(`${(error.cause as { code?: string } | undefined)?.code} ${error.message}`);
  return isUnknown
    ? "its certificate is not of an authority that this hub trusts; if it is of one of yours, TIDINGS_ISSUER_CA names that"
    : error.message;
}

/** OpenSSL's codes on Node and Bun, and what rustls says on Deno. */
const UNKNOWN_AUTHORITY = /UNABLE_TO_(?:VERIFY|GET_ISSUER)|SELF_SIGNED_CERT|UnknownIssuer/;

/** Throws an error of its own: a parser's message quotes the JSON and is logged, and an answer may hold secrets. */
function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    value = undefined;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new Error("it is not a JSON object");
}

async function readInTime(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  leftMs: number,
): Promise<Uint8Array> {
  const reader = body.getReader();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    // A read that waits for more then ends.
    void reader.cancel().catch(() => {});
  }, Math.max(0, leftMs));
  try {
    const bytes = await readParts(reader, maxBytes);
    if (late) throw new Error("the answer was not complete in time");
    return bytes;
  } finally {
    clearTimeout(timer);
    // The rest of an answer that is too long is not wanted.
    await reader.cancel().catch(() => {});
  }
}
