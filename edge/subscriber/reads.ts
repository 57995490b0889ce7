// GET /subscriptions, /messages and /dead-letters: what the core says of one subscription (WIRE §5). Reading moves nothing.

import { createPacedBody } from "../../shared/paced-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import { jsonOfCore, UNSTORED } from "../answers/answers.ts";
import type { CoreClient } from "../core/core-client.ts";
import type { Question } from "../core/core-requests.ts";
import type { ClientRoute } from "../limits/limits.ts";
import { parseQuery, rawQueryOf } from "../syntax/form.ts";
import { parseSubscriptionPair } from "../syntax/subscription-pair.ts";
import { type AdmissionPorts, admit, answering, type Endpoint } from "./admission.ts";
import type { OpenStreams } from "./open-streams.ts";

export interface ReadOptions extends AdmissionPorts {
  readonly core: Pick<CoreClient, "ask" | "read">;
  /** A reader that takes nothing for so long is given up, ms. Default 30 s. */
  readonly stallMs?: number;
  /** A core that says nothing for so long is given up, ms. Default three of its heartbeats, 45 s. */
  readonly silenceMs?: number;
  /** ms since 1970; default the system's. */
  readonly clock?: () => number;
}

export interface ReadEndpoints {
  readonly subscriptions: Endpoint;
  readonly messages: Endpoint;
  readonly deadLetters: Endpoint;
}

interface Asked extends Question {
  /** When the caller's token expires, ms since 1970; Infinity without one. */
  readonly expiresAt: number;
}

const EVENTS = "text/event-stream";
const NO_BODY = new Uint8Array(0);

export function createReadEndpoints(options: ReadOptions, streams: OpenStreams): ReadEndpoints {
  const { core } = options;
  return {
    subscriptions: answering(async (request, exchange) => {
      const asked = await askedOf(options, request, exchange, [], "client_reads");
      return jsonOfCore(await core.ask("subscriptions", asked));
    }),
    deadLetters: answering(async (request, exchange) => {
      const asked = await askedOf(options, request, exchange, ["after", "limit"], "client_reads");
      return jsonOfCore(await core.ask("deadLetters", asked));
    }),
    messages: answering(async (request, exchange) => {
      const route = isForEvents(request) ? "client_events" : "client_reads";
      const asked = await askedOf(options, request, exchange, ["after", "since", "limit"], route);
      return await messages(asked, request, exchange.breakOff, options, streams);
    }),
  };
}

/** Reads the question and who asks it; `names` are the parameters that go on to the core. */
async function askedOf(
  ports: AdmissionPorts,
  request: Request,
  exchange: Exchange,
  names: readonly string[],
  route: ClientRoute,
): Promise<Asked> {
  const parameters = parseQuery(rawQueryOf(request.url));
  const pair = parseSubscriptionPair(parameters);
  const given = names.flatMap((name) => {
    const value = parameters.first(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { pair, ...await admit(ports, request, exchange, { topic: pair.topic, body: NO_BODY, route }), given };
}

/** A page of messages, or events that go on until the reader leaves, its token ends or the edge stops. */
async function messages(
  { given, expiresAt, ...asked }: Asked,
  request: Request,
  breakOff: (() => void) | undefined,
  { core, stallMs = 30_000, silenceMs = 45_000, clock = Date.now }: ReadOptions,
  streams: OpenStreams,
): Promise<Response> {
  const events = isForEvents(request);
  const last = events ? request.headers.get("last-event-id") : null;
  // A reader of events that comes back goes on after what it has, wherever it began.
  const from = last === null ? given : [["lastEventId", last] as const];
  const { contentType, body } = await core.read({ ...asked, given: from }, events ? "events" : "page");
  if (request.method === "HEAD") {
    await body.cancel();
    return new Response(null, { headers: { "content-type": contentType, ...UNSTORED } });
  }
  const ends = new AbortController();
  streams.add(ends);
  // WIRE §6: events end when the token does; a timer cannot wait for Infinity.
  const leftMs = Math.ceil(Math.min(LONGEST_TIMER_MS, Math.max(0, expiresAt - clock())));
  const end = events && expiresAt !== Infinity ? setTimeout(() => ends.abort(), leftMs) : undefined;
  const paced = createPacedBody((signal) => partsOf(body, signal), {
    stallMs,
    silenceMs,
    cutShort: events ? "ends" : "breaks",
    breakOff,
    signal: ends.signal,
    onEnd: () => {
      clearTimeout(end);
      streams.remove(ends);
    },
  });
  // Proxies such as nginx would hold events back.
  const headers = { "content-type": contentType, ...UNSTORED, ...(events ? { "x-accel-buffering": "no" } : {}) };
  return new Response(paced, { headers });
}

/** A longer timer would fire at once, ms: 24 days, after which a reader of events comes back by itself. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Whether Accept names events at all: a client that wants JSON does not name them. */
function isForEvents({ method, headers }: Request): boolean {
  if (method !== "GET") return false;
  const accept = headers.get("accept");
  return accept?.split(",").some((range) => range.split(";", 1)[0]!.trim().toLowerCase() === EVENTS) ?? false;
}

async function* partsOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = body.getReader();
  // Cancels at once, also while the reader waits: a client that has left ends the core's answer too.
  const leave = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", leave);
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}
