// Servers of the adapter under test (shared/runtime/serve.ts), with or without TLS, and their clients.
import { readBody } from "../../../shared/request-body.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import type { Served, ServeOptions } from "../../../shared/serve.ts";
import { createAuthority } from "./certificates.ts";
import { call, type CallOptions, type Reply } from "./http.ts";
import { exchangeRaw, type RawAnswer, type RawOptions } from "./raw-http.ts";

export interface ServeRig {
  /** On a free port of 127.0.0.1, if `options` say nothing else. By default it answers with the method and the body's length. */
  readonly open: (options?: Partial<ServeOptions>) => Promise<Served>;
  /** As `call` and `exchangeRaw`, trusting the servers' certificate. */
  readonly call: (url: string, options?: CallOptions) => Promise<Reply>;
  readonly raw: (port: number, write: Parameters<typeof exchangeRaw>[1], options?: RawOptions) => Promise<RawAnswer>;
  /** Closes all of them. */
  readonly close: () => Promise<void>;
}

export const SCHEMES = ["http", "https"] as const;

export async function createServeRig(scheme: (typeof SCHEMES)[number] = "http"): Promise<ServeRig> {
  const authority = scheme === "https" ? await createAuthority() : undefined;
  const tls = await authority?.issue("127.0.0.1");
  const ca = authority?.ca;
  const opened: Served[] = [];
  return {
    open: async (options = {}) => {
      const served = await serve({
        hostname: "127.0.0.1",
        port: 0,
        tls,
        fetch: async (request) =>
          new Response(`${request.method} ${(await readBody(request, { maxBytes: 1_000 })).length}`),
        ...options,
      });
      opened.push(served);
      return served;
    },
    call: (url, options) => call(url, { ...options, ca }),
    raw: (port, write, options) => exchangeRaw(port, write, { ...options, ca }),
    close: async () => void await Promise.all(opened.map((served) => served.close(0))),
  };
}
