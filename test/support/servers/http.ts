// One HTTP call as a test wants it: it adds no header, follows no redirect, and yields the answer as it came.

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { IncomingHttpHeaders } from "node:http";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** From the call to the last byte. */
  readonly elapsedMs: number;
}

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly deadlineMs?: number;
  /** The request line's target, byte for byte; default the URL's, as Node writes it. */
  readonly target?: string;
  /** An authority (PEM) of the server's certificate. */
  readonly ca?: string | undefined;
}

/** Makes one call on a connection of its own. @throws {Error} without a complete answer within the deadline (default 15 s) */
export function call(url: string, options: CallOptions = {}): Promise<Reply> {
  const { method = options.body === undefined ? "GET" : "POST", headers = {}, body, deadlineMs = 15_000, target, ca } =
    options;
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    let answered = false;
    const send = url.startsWith("https:") ? httpsRequest : httpRequest;
    const request = send(
      url,
      {
        method,
        headers,
        agent: false,
        signal: AbortSignal.timeout(deadlineMs),
        ...(target === undefined ? {} : { path: target }),
        ...(ca === undefined ? {} : { ca }),
      },
      (response) => {
        answered = true;
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () => {
          const bytes = Buffer.concat(parts);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: bytes,
            text: bytes.toString("utf8"),
            elapsedMs: performance.now() - begun,
          });
        });
      },
    );
    request.on("error", (error: NodeJS.ErrnoException) => {
      // The server may answer before it has read all. Deno says so before the answer has been read.
      if (!answered || error.code !== "EPIPE") reject(error);
    });
    if (body === undefined && method !== "GET" && method !== "HEAD") request.setHeader("content-length", "0");
    else if (body !== undefined) request.setHeader("content-length", String(Buffer.byteLength(body)));
    request.end(body);
  });
}
