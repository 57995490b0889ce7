// GET /subscriptions, /messages and /dead-letters, POST /subscriptions/ack, /resume and /dead-letters/replay: what the core says of one subscription, to whoever may ask (WIRE §5).

import type { Caller } from "../../shared/core-api.ts";
import { createPacedBody } from "../../shared/paced-body.ts";
import { BodyTooLargeError, readBody } from "../../shared/request-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import type { Access } from "../auth/access.ts";
import { refusalOf, sentence } from "../answers/answers.ts";
import { CoreError } from "../core/core-client.ts";
import type { CoreClient, Question } from "../core/core-client.ts";
import { isForm, parseForm, parseQuery, rawQueryOf } from "../syntax/form.ts";
import type { Parameters } from "../syntax/form.ts";
import { HubError } from "../answers/hub-error.ts";
import { idempotencyKey } from "../syntax/idempotency-key.ts";
import type { ClientRoute, Limits } from "../limits/limits.ts";
import { parsePair } from "../auth/subscriber-signature.ts";

/** A signature is over the exchange's target. */
type Endpoint = (request: Request, exchange: Exchange) => Promise<Response>;

export interface MissedEndpoints {
  readonly subscriptions: Endpoint;
  readonly messages: Endpoint;
  readonly deadLetters: Endpoint;
  readonly ack: Endpoint;
  readonly resume: Endpoint;
  readonly replay: Endpoint;
  /** Cuts every stream: the process is stopping, and they would go on for ever. */
  close(): void;
}

export interface MissedEndpointsOptions {
  readonly core: Pick<CoreClient, "ask" | "read" | "move">;
  readonly access: Pick<Access, "callerOf">;
  readonly limits: Pick<Limits, "admitClient">;
  /** A reader that takes nothing for so long is given up, ms. Default 30 s. */
  readonly stallMs?: number;
  /** A core that says nothing for so long is given up, ms. Default three of its heartbeats, 45 s. */
  readonly silenceMs?: number;
  /** ms since 1970; default the system's. */
  readonly clock?: () => number;
}

const EVENTS = "text/event-stream";
const NOTHING = new Uint8Array(0);

export function createMissedEndpoints(
  { core, access, limits, stallMs = 30_000, silenceMs = 45_000, clock = Date.now }: MissedEndpointsOptions,
): MissedEndpoints {
  const closing = new AbortController();

  /** Of a signature only the core can say whose it is: those are held to their address. */
  const admit = (caller: Caller, route: ClientRoute) => {
    if (caller.kind === "client" || caller.kind === "operator") limits.admitClient(caller, route);
  };

  /** Handles a question about a subscription; `names` are the parameters that the core reads; it may go on as events if it `follows`. */
  const endpoint = (
    names: readonly string[],
    answer: (asked: Question & { expiresAt: number }, request: Request, exchange: Exchange) => Promise<Response>,
    follows = false,
  ): Endpoint =>
  async (request, exchange) => {
    try {
      const parameters = parseQuery(rawQueryOf(request.url));
      const pair = parsePair(parameters);
      const given = names.flatMap((name) => {
        const value = parameters.first(name);
        return value === undefined ? [] : [[name, value] as const];
      });
      const { method, headers } = request;
      const sent = { method, target: exchange.target ?? request.url, headers, body: NOTHING };
      const asker = await access.callerOf(sent, pair.topic);
      admit(asker.caller, follows && isForEvents(request) ? "client_events" : "client_reads");
      return await answer({ pair, ...asker, given }, request, exchange);
    } catch (error) {
      return refusalOfRead(error);
    }
  };

  /** Handles a request that moves a position: a form, whose signature covers its bytes. */
  const moving =
    (read: (form: Parameters, headers: Headers) => Ack | Resume | Replay) =>
    async (request: Request, exchange: Exchange): Promise<Response> => {
      try {
        if (!isForm(request.headers.get("content-type") ?? "")) {
          throw new HubError("invalid_request", `Content-Type must be ${FORM}.`);
        }
        const body = await readForm(request);
        const form = parseForm(body);
        const { method, headers } = request;
        // Syntax comes before access (WIRE §1).
        const wish = { ...parsePair(form), ...read(form, headers) };
        const sent = { method, target: exchange.target ?? request.url, headers, body };
        const { caller } = await access.callerOf(sent, wish.topic);
        admit(caller, "client_moves");
        return inJson(await core.move({ ...wish, caller }));
      } catch (error) {
        return refusalOfRead(error);
      }
    };

  return {
    ack: moving((form) => {
      const cursor = form.first("cursor") ?? "";
      if (cursor === "") {
        throw new HubError("invalid_request", "cursor is missing; send that of the last message you have.");
      }
      return { kind: "ack", cursor: short("cursor", cursor) };
    }),
    resume: moving((form) => {
      const from = form.first("from") ?? "";
      return from === "" ? { kind: "resume" } : { kind: "resume", from: short("from", from) };
    }),
    replay: moving((form, headers) => {
      const key = idempotencyKey(headers);
      if (key === null) {
        throw new HubError("invalid_request", "Idempotency-Key is missing; send one, so that a repeat acts once.");
      }
      const id = form.first("id") ?? "";
      return id === "" ? { kind: "replay", key } : { kind: "replay", key, letter: short("id", id) };
    }),
    subscriptions: endpoint([], async (asked) => inJson(await core.ask("subscriptions", asked))),
    deadLetters: endpoint(["after", "limit"], async (asked) => inJson(await core.ask("deadLetters", asked))),
    messages: endpoint(["after", "since", "limit"], async ({ given, expiresAt, ...asked }, request, { breakOff }) => {
      const events = isForEvents(request);
      const last = events ? request.headers.get("last-event-id") : null;
      // What a reader of events says when it comes back wins over where it began.
      const from = last === null ? given : [["lastEventId", last] as const];
      const { contentType, body } = await core.read({ ...asked, given: from }, events ? "events" : "page");
      if (request.method === "HEAD") {
        await body.cancel();
        return new Response(null, { headers: { "content-type": contentType, ...UNSTORED } });
      }
      const ends = new AbortController();
      // WIRE §6: events end when the token does; Infinity is no time that a timer could wait for.
      const leftMs = Math.ceil(Math.min(LONGEST_TIMER_MS, Math.max(0, expiresAt - clock())));
      const end = events && expiresAt !== Infinity ? setTimeout(() => ends.abort(), leftMs) : undefined;
      const paced = createPacedBody((signal) => partsOf(body, signal), {
        stallMs,
        silenceMs,
        cutShort: events ? "ends" : "breaks",
        breakOff,
        signal: AbortSignal.any([closing.signal, ends.signal]),
        onEnd: () => clearTimeout(end),
      });
      // nginx and its like would hold events back.
      const headers = { "content-type": contentType, ...UNSTORED, ...(events ? { "x-accel-buffering": "no" } : {}) };
      return new Response(paced, { headers });
    }, true),
    close: () => closing.abort(),
  };
}

interface Ack {
  readonly kind: "ack";
  readonly cursor: string;
}

interface Replay {
  readonly kind: "replay";
  readonly key: string;
  readonly letter?: string;
}

interface Resume {
  readonly kind: "resume";
  readonly from?: string;
}

const FORM = "application/x-www-form-urlencoded";
const FORM_MAX_BYTES = 65_536;

async function readForm(request: Request): Promise<Uint8Array> {
  try {
    return await readBody(request, FORM_MAX_BYTES);
  } catch (error) {
    if (!(error instanceof BodyTooLargeError)) throw error;
    throw new HubError("too_large", `The form is longer than ${FORM_MAX_BYTES} bytes.`);
  }
}

/** Beyond this a timer would fire at once, ms: 24 days, after which a reader of events comes back by itself. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Cursors and times are short; anything longer is none. */
function short(parameter: string, value: string): string {
  if (value.length <= 256) return value;
  throw new HubError("invalid_request", `${parameter} is longer than 256 characters.`);
}

const UNSTORED = { "cache-control": "no-store" };

function inJson(body: Uint8Array): Response {
  return new Response(body as BodyInit, { headers: { "content-type": "application/json", ...UNSTORED } });
}

/** Whether Accept names events at all; nobody who wants JSON does. */
function wantsEvents(accept: string | null): boolean {
  return accept?.split(",").some((range) => range.split(";", 1)[0]!.trim().toLowerCase() === EVENTS) ?? false;
}

function isForEvents({ method, headers }: Request): boolean {
  return method === "GET" && wantsEvents(headers.get("accept"));
}

function refusalOfRead(error: unknown): Response {
  if (error instanceof CoreError) {
    if (error.code === "not_found") return sentence(404, error.message);
    if (error.code === "unavailable") {
      return sentence(503, "The hub cannot look this up now; ask again a little later.", { "retry-after": "5" });
    }
  }
  return refusalOf(error);
}

async function* partsOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = body.getReader();
  // At once, also while it waits: a client that has left ends the core's side of it.
  const leave = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", leave);
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}
