// One subscription from the subscriber's side: it asks, answers the hub's challenges, checks what is delivered, and leaves.
// A listener is a fetch handler; who serves it under the callback's URL is the caller's matter.

import { createSignatureCheck } from "./signature.ts";
import type { Checked } from "./signature.ts";

export interface ListenerOptions {
  readonly hub: string;
  readonly topic: string;
  /** Where the hub reaches this listener. */
  readonly callback: string;
  /** Under 200 bytes (§5.1), not empty. */
  readonly secret: string;
  readonly leaseSeconds?: number;
  /** Called once for each delivery, good or bad. What it throws is answered 500, so that the hub tries again. */
  readonly onDelivery: (delivery: Delivery) => void | Promise<void>;
  /** §5.2: there is no subscription any more. */
  readonly onDenied?: (reason: string) => void;
  /** How the hub is reached; default the global fetch. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  readonly now?: () => number;
}

/** What came in one POST. Only a `checked.good` one may be used (§7.1); the hub is answered 2xx for no other. */
export interface Delivery {
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly checked: Checked;
}

export interface Listener {
  /** Answers the hub: challenges, denied notices and deliveries. */
  fetch(request: Request): Promise<Response>;
  /**
   * Asks for the subscription; resolves with the lease (seconds) when the hub's challenge has been answered.
   * @throws {ListenerError}
   */
  subscribe(deadlineMs: number): Promise<number>;
  /** Ends the subscription; resolves when the hub's challenge has been answered. @throws {ListenerError} */
  unsubscribe(deadlineMs: number): Promise<void>;
}

export type ListenerErrorCode = "unreachable" | "refused" | "unverified" | "denied";

export class ListenerError extends Error {
  readonly code: ListenerErrorCode;
  constructor(code: ListenerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ListenerError";
    this.code = code;
  }
}

type Mode = "subscribe" | "unsubscribe";

/** Who waits for a challenge. */
interface Waiting {
  readonly answered: (leaseSeconds: number) => void;
  readonly failed: (error: ListenerError) => void;
}

const TEXT = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };

export function createListener(options: ListenerOptions): Listener {
  const { hub, topic, callback, secret } = options;
  const now = options.now ?? Date.now;
  const path = new URL(callback).pathname;
  const check = createSignatureCheck(secret);
  /** What we asked for last, unless it failed. The hub may ask again: its try may have been cut, or it reconfirms (§5). */
  let wanted: Mode | undefined;
  let waiting: Waiting | undefined;

  const onGet = (query: URLSearchParams): Response => {
    // The callback's own query may hold such names too; the hub's come after it (§5.1.1).
    const last = (name: string) => query.getAll(name).at(-1);
    const [mode, challenge] = [last("hub.mode"), last("hub.challenge")];
    if (last("hub.topic") !== topic) {
      return new Response("This callback has no such topic.\n", { status: 404, headers: TEXT });
    }
    if (mode === "denied") {
      const reason = last("hub.reason") ?? "no reason given";
      wanted = undefined;
      waiting?.failed(new ListenerError("denied", `The hub denied the subscription: ${reason}`));
      options.onDenied?.(reason);
      return new Response(null, { status: 204 });
    }
    // §5.3: only what we asked for is confirmed, or a stranger could subscribe us. Nothing outside the alphabet is echoed.
    if (wanted !== mode || challenge === undefined || !/^[-+./0-9=A-Z_a-z]+$/.test(challenge)) {
      return new Response("This was not asked for.\n", { status: 404, headers: TEXT });
    }
    waiting?.answered(Number(last("hub.lease_seconds") ?? 0));
    return new Response(challenge, { headers: TEXT });
  };

  const onPost = async (request: Request): Promise<Response> => {
    const body = new Uint8Array(await request.arrayBuffer());
    const checked = await check(request.headers, body, now());
    try {
      await options.onDelivery({ headers: request.headers, body, checked });
    } catch {
      return new Response("This delivery could not be taken.\n", { status: 500, headers: TEXT });
    }
    if (checked.good) return new Response(null, { status: 204 });
    return new Response("The signature is missing or wrong.\n", { status: 403, headers: TEXT });
  };

  const ask = async (mode: Mode, deadlineMs: number): Promise<number> => {
    const verified = Promise.withResolvers<number>();
    // Its failure is told by the race below; it may come when nobody waits any more.
    verified.promise.catch(() => {});
    wanted = mode;
    waiting = { answered: verified.resolve, failed: verified.reject };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `The hub did not verify the ${mode} at ${callback} within ${
        deadlineMs / 1_000
      } s; can it reach it?`;
      timer = setTimeout(() => reject(new ListenerError("unverified", message)), deadlineMs);
    });
    try {
      await Promise.race([post(mode, deadlineMs), late]);
      return await Promise.race([verified.promise, late]);
    } catch (error) {
      wanted = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
      waiting = undefined;
    }
  };

  const post = async (mode: Mode, deadlineMs: number): Promise<void> => {
    const body = new URLSearchParams({ "hub.mode": mode, "hub.topic": topic, "hub.callback": callback });
    if (mode === "subscribe") {
      body.set("hub.secret", secret);
      if (options.leaseSeconds !== undefined) body.set("hub.lease_seconds", String(options.leaseSeconds));
    }
    const signal = AbortSignal.timeout(deadlineMs);
    let answer: Response;
    try {
      answer = await (options.fetch ?? fetch)(hub, { method: "POST", body, signal, redirect: "manual" });
    } catch (error) {
      throw new ListenerError("unreachable", `The hub at ${hub} cannot be reached (${reasonOf(error)})`, {
        cause: error,
      });
    }
    const text = (await answer.text()).trim().slice(0, 500);
    if (answer.status === 202) return;
    throw new ListenerError("refused", `The hub at ${hub} refused the ${mode} with ${answer.status}: ${text}`);
  };

  return {
    fetch: async (request) => {
      const url = new URL(request.url);
      if (url.pathname !== path) return new Response("Nothing is here.\n", { status: 404, headers: TEXT });
      if (request.method === "GET") return onGet(url.searchParams);
      if (request.method === "POST") return await onPost(request);
      return new Response("A hub uses GET and POST.\n", { status: 405, headers: { ...TEXT, allow: "GET, POST" } });
    },
    subscribe: (deadlineMs) => ask("subscribe", deadlineMs),
    unsubscribe: async (deadlineMs) => void await ask("unsubscribe", deadlineMs),
  };
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause ?? error : error;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}
