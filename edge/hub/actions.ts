// What each request to the hub endpoint asks of the core, and its answer (WIRE §1, §2).

import { type Compact, createCompact } from "../../shared/compact-json.ts";
import type { Asking } from "../../shared/core-api.ts";
import { hostOfUrl } from "../../shared/shares/host-of.ts";
import { anonymousAt, requesterOf } from "../../shared/shares/requester.ts";
import { createTraceparent, parseTraceparent } from "../../shared/trace.ts";
import { accepted, empty } from "../answers/answers.ts";
import { HubError } from "../answers/hub-error.ts";
import { identityOfClient } from "../auth/access.ts";
import type { Client } from "../auth/client.ts";
import type { CoreClient } from "../core/core-client.ts";
import type { Limits } from "../limits/limits.ts";
import type { HubRequest } from "../syntax/hub-request.ts";
import type { SubscribeRequest } from "../syntax/subscribe-request.ts";
import { isMarked, type OnIntent } from "./auto-verify.ts";
import type { Reserved, Verifier } from "./verifier.ts";

export interface HubActionsOptions {
  readonly core: CoreClient;
  readonly verifier: Verifier;
  readonly limits: Pick<Limits, "verifications" | "count">;
  /** Topics, also by patterns, whose JSON loses its whitespace (COMPACT_JSON). */
  readonly compactJson: readonly string[];
  /** AUTO_VERIFY: whether a mark of the hooks below counts (WIRE §2). Default false. */
  readonly autoVerify?: boolean;
  /** Hooks that look at each admitted subscribe or unsubscribe, and may mark it as verified. */
  readonly onSubscription?: OnIntent;
  readonly onUnsubscription?: OnIntent;
  /** Monotonic ms, the verifier's clock. */
  readonly now: () => number;
}

/** Who asks the hub. */
export interface HubAsker {
  /** undefined where nobody has to show who it is. */
  readonly client: Client | undefined;
  /** `Limits.addressOf`. */
  readonly address: string | undefined;
}

/** What the headers of a request with content say, once they are checked. */
export interface SentHeaders {
  readonly key: string | null;
  readonly headers: Record<string, string> | null;
}

type ContentRequest = Extract<HubRequest, { kind: "content" }> & { readonly sent: SentHeaders };
/** A request that was read whole, and whose headers are checked where they count. */
export type ReadRequest = Exclude<HubRequest, { kind: "content" }> | ContentRequest;

export class HubActions {
  readonly #options: HubActionsOptions;
  readonly #compact: Compact;

  constructor(options: HubActionsOptions) {
    this.#options = options;
    this.#compact = createCompact(options.compactJson);
  }

  /**
   * Does what an admitted request asks for.
   * @throws {HubError} "too_many"; {CoreError}
   */
  async act(parsed: ReadRequest, { headers }: Request, asker: HubAsker): Promise<Response> {
    const { core } = this.#options;
    const { client } = asker;
    const by = client === undefined ? {} : { client: identityOfClient(client) };
    switch (parsed.kind) {
      case "content":
        return await this.#publish(parsed, headers, client);
      case "ping":
        await core.operate({ kind: "ping", topics: parsed.topics, ...await askingOf(asker) });
        // The pings of the others are in the log: a publisher that repeats the whole request loses nothing and gains nothing.
        if (parsed.wrong !== undefined) throw new HubError("invalid_request", parsed.wrong);
        // Debian's and WordPress's publisher library takes nothing but 204, Ballerina's nothing but 200.
        return parsed.quiet ? empty(204) : accepted(200);
      case "register":
        await core.operate({ kind: "register", topic: parsed.topic, ...by });
        return accepted(200);
      case "deregister":
        await core.operate({ kind: "deregister", topic: parsed.topic });
        return accepted(200);
      case "subscribe":
      case "unsubscribe":
        return await this.#intend(parsed, asker);
    }
  }

  async #publish(parsed: ContentRequest, headers: Headers, client: Client | undefined): Promise<Response> {
    const { id } = await this.#options.core.publish({
      topic: parsed.topic,
      client: client === undefined ? null : identityOfClient(client),
      key: parsed.sent.key,
      contentType: parsed.contentType,
      headers: parsed.sent.headers,
      traceparent: parseTraceparent(headers.get("traceparent")) ?? createTraceparent(),
      body: this.#compact(parsed.topic, parsed.body, headers.get("content-encoding")),
    });
    return accepted(200, { "webhook-id": id });
  }

  async #intend({ kind, ...pair }: SubscribeRequest, asker: HubAsker): Promise<Response> {
    const { verifier, limits } = this.#options;
    const asking = await askingOf(asker);
    const requester = requesterOf(asking);
    const host = hostOfUrl(pair.callback);
    const seat = verifier.reserve({ requester, callback: pair.callback });
    if ("retryAfterS" in seat || !limits.verifications.take(requester, host)) {
      limits.count("verifications");
      if ("retryAfterS" in seat) throw tooMany(TOO_MANY_WAIT, seat.retryAfterS);
      seat.release();
      throw tooMany("hub.callback's host has too many unconfirmed requests of yours; send it again a little later.");
    }
    let isAsked = false;
    try {
      isAsked = await this.#intendSeated({ mode: kind, ...pair }, asker, asking, seat);
    } finally {
      if (!isAsked) {
        seat.release();
        limits.verifications.giveBack(requester, host);
      }
    }
    return accepted(202);
  }

  /** Whether the callback is asked: the seat is the verifier's then, if it can verify. */
  async #intendSeated(intent: Intended, asker: HubAsker, asking: Asking, seat: Reserved): Promise<boolean> {
    const { core, verifier, onSubscription, onUnsubscription, autoVerify, now } = this.#options;
    const hook = intent.mode === "subscribe" ? onSubscription : onUnsubscription;
    const marked = await isMarked(verifiable(intent, asker.client), hook, autoVerify === true);
    const { id, answer } = await core.operate({
      kind: "intent",
      ...intent,
      ...asking,
      ...(marked ? { marked } : {}),
      ...(verifier.canVerify ? {} : { unpinned: true }),
    });
    // §5.1.2: the answer does not depend on what verification will say, so it does not wait for it.
    if (answer.kind !== "intent" || !answer.verify) {
      // The owner asks the callback then, and this edge never learns of a yes: the place comes back with time.
      if (verifier.canVerify || marked) return false;
      seat.release();
      return true;
    }
    const { offset, isOwn = false, replaces } = answer;
    if (replaces !== undefined) verifier.forget(intent, replaces);
    seat.verify({ ...intent, id, offset, acceptedAt: now(), requester: requesterOf(asking), isOwn });
    return true;
  }
}

/** A subscribe or unsubscribe as it was parsed. */
type Intended = { readonly mode: "subscribe" | "unsubscribe" } & Omit<SubscribeRequest, "kind">;

const TOO_MANY_WAIT = "Too many of your requests wait to be verified; send fewer at once.";

function tooMany(sentence: string, retryAfterS?: number): HubError {
  return new HubError("too_many", sentence, retryAfterS === undefined ? {} : { retryAfterS });
}

/** Who asks, as the core hears it. */
export async function askingOf({ client, address }: HubAsker): Promise<Asking> {
  return client === undefined ? await anonymousAt(address) : { client: identityOfClient(client) };
}

/** What a hook sees of an intent: all but the secret. */
function verifiable(
  { mode, topic, callback, leaseMs }: Intended,
  client: Client | undefined,
) {
  return Object.freeze({ mode, topic, callback, ...(leaseMs === undefined ? {} : { leaseMs }), client });
}
