// One subscription from the subscriber's side: it subscribes, answers the hub's challenges, checks what is delivered, and
// unsubscribes. A listener is a fetch handler; its caller serves it under the callback's URL.

import { createSignatureCheck } from "./signature.ts";
import type { Checked, CheckSignatures } from "./signature.ts";

export interface ListenerOptions {
  readonly hub: string;
  readonly topic: string;
  /** Where the hub reaches this listener. */
  readonly callback: string;
  /** Under 200 bytes (§5.1), not empty. */
  readonly secret: string;
  readonly leaseSeconds?: number;
  /** Sent to the hub as `Authorization: Bearer`; default none. */
  readonly accessToken?: string;
  /** Called once for each delivery, good or bad. If it throws, the answer is 500, so that the hub tries again. */
  readonly onDelivery: (delivery: Delivery) => void | Promise<void>;
  /** §5.2: the hub says that there is no subscription. */
  readonly onDenied?: (reason: string) => void;
  /** How the hub is reached; default the global fetch. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** ms since 1970; default the system's. */
  readonly clock?: () => number;
}

/** What came in one POST. If it is not `checked.good`, it may not be used (§7.1), and the hub gets no 2xx. */
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

/** A request that waits for the hub's challenge. */
interface Waiting {
  readonly answered: (leaseSeconds: number) => void;
  readonly failed: (error: ListenerError) => void;
}

const TEXT = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };

export function createListener(options: ListenerOptions): Listener {
  return new SubscriptionListener(options);
}

class SubscriptionListener implements Listener {
  readonly #options: ListenerOptions;
  readonly #clock: () => number;
  readonly #path: string;
  readonly #check: CheckSignatures;
  /** What we asked for last, unless it failed. The hub may ask again: its try may have been cut, or it reconfirms (§5). */
  #wanted: Mode | undefined;
  #waiting: Waiting | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.#path = new URL(options.callback).pathname;
    this.#check = createSignatureCheck(options.secret);
  }

  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname !== this.#path) return new Response("Nothing is here.\n", { status: 404, headers: TEXT });
    if (request.method === "GET") return this.#onGet(url.searchParams);
    if (request.method === "POST") return await this.#onPost(request);
    return new Response("A hub uses GET and POST.\n", { status: 405, headers: { ...TEXT, allow: "GET, POST" } });
  }

  subscribe(deadlineMs: number): Promise<number> {
    return this.#ask("subscribe", deadlineMs);
  }

  async unsubscribe(deadlineMs: number): Promise<void> {
    await this.#ask("unsubscribe", deadlineMs);
  }

  #onGet(query: URLSearchParams): Response {
    // The callback's own query may hold such names too; the hub's come after it (§5.1.1).
    const last = (name: string) => query.getAll(name).at(-1);
    const [mode, challenge] = [last("hub.mode"), last("hub.challenge")];
    if (last("hub.topic") !== this.#options.topic) {
      return new Response("This callback has no such topic.\n", { status: 404, headers: TEXT });
    }
    if (mode === "denied") {
      const reason = last("hub.reason") ?? "no reason given";
      this.#wanted = undefined;
      this.#waiting?.failed(new ListenerError("denied", `The hub denied the subscription: ${reason}`));
      this.#options.onDenied?.(reason);
      return new Response(null, { status: 204 });
    }
    // §5.3: only what we asked for is confirmed, or a stranger could subscribe us. Nothing outside the alphabet is echoed.
    if (this.#wanted !== mode || challenge === undefined || !/^[-+./0-9=A-Z_a-z]+$/.test(challenge)) {
      return new Response("This was not asked for.\n", { status: 404, headers: TEXT });
    }
    this.#waiting?.answered(Number(last("hub.lease_seconds") ?? 0));
    return new Response(challenge, { headers: TEXT });
  }

  async #onPost(request: Request): Promise<Response> {
    const body = new Uint8Array(await request.arrayBuffer());
    const checked = await this.#check(request.headers, body, this.#clock());
    try {
      await this.#options.onDelivery({ headers: request.headers, body, checked });
    } catch {
      return new Response("This delivery could not be taken.\n", { status: 500, headers: TEXT });
    }
    if (checked.good) return new Response(null, { status: 204 });
    return new Response("The signature is missing or wrong.\n", { status: 403, headers: TEXT });
  }

  /** Asks the hub and waits until its challenge has been answered; yields the lease, seconds. @throws {ListenerError} */
  async #ask(mode: Mode, deadlineMs: number): Promise<number> {
    const { callback } = this.#options;
    const verified = Promise.withResolvers<number>();
    // The race below reports its failure; the failure may come after the race.
    verified.promise.catch(() => {});
    this.#wanted = mode;
    this.#waiting = { answered: verified.resolve, failed: verified.reject };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const seconds = deadlineMs / 1_000;
      const message = `The hub did not verify the ${mode} at ${callback} within ${seconds} s; can it reach it?`;
      timer = setTimeout(() => reject(new ListenerError("unverified", message)), deadlineMs);
    });
    try {
      await Promise.race([post(mode, this.#options, deadlineMs), late]);
      return await Promise.race([verified.promise, late]);
    } catch (error) {
      this.#wanted = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }
}

/** Sends the request to the hub. @throws {ListenerError} unless it is accepted */
async function post(mode: Mode, options: ListenerOptions, deadlineMs: number): Promise<void> {
  const { hub, topic, callback, secret, leaseSeconds, accessToken } = options;
  const headers = accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` };
  const body = new URLSearchParams({ "hub.mode": mode, "hub.topic": topic, "hub.callback": callback });
  if (mode === "subscribe") {
    body.set("hub.secret", secret);
    if (leaseSeconds !== undefined) body.set("hub.lease_seconds", String(leaseSeconds));
  }
  const signal = AbortSignal.timeout(deadlineMs);
  let answer: Response;
  try {
    answer = await (options.fetch ?? fetch)(hub, { method: "POST", headers, body, signal, redirect: "manual" });
  } catch (error) {
    throw new ListenerError("unreachable", `The hub at ${hub} cannot be reached (${reasonOf(error)})`, {
      cause: error,
    });
  }
  const text = (await answer.text()).trim().slice(0, 500);
  if (answer.status === 202) return;
  throw new ListenerError("refused", `The hub at ${hub} refused the ${mode} with ${answer.status}: ${text}`);
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause ?? error : error;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}
