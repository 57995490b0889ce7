// GET /subscriptions, /messages and /dead-letters: what the core says of one subscription (WIRE §5). Reading moves nothing.

import type { Exchange } from "../../shared/serve.ts";
import { asksForEvents } from "../auth/subscriber-signature.ts";
import { jsonOfCore } from "../answers/answers.ts";
import type { CoreClient } from "../core/core-client.ts";
import type { Question } from "../core/core-requests.ts";
import type { ClientRoute } from "../limits/limits.ts";
import { parseQuery, rawQueryOf } from "../syntax/form.ts";
import { lastEventId } from "../syntax/request-headers.ts";
import { parseSubscriptionPair } from "../syntax/subscription-pair.ts";
import type { Asker } from "../auth/access.ts";
import { type AdmissionPorts, admit, answering, type Endpoint } from "./admission.ts";
import type { OpenStreams } from "./open-streams.ts";
import { passOn, type Patience } from "./pass-on.ts";
import { type TokenWatchTimes, watchToken } from "./token-watch.ts";

export interface ReadOptions extends AdmissionPorts, Patience {
  readonly core: Pick<CoreClient, "ask" | "read">;
  /** ms since 1970; default the system's. */
  readonly clock?: () => number;
  /** How often an issuer is asked about the token of a stream again. */
  readonly tokenWatch?: TokenWatchTimes;
}

export interface ReadEndpoints {
  readonly subscriptions: Endpoint;
  readonly messages: Endpoint;
  readonly deadLetters: Endpoint;
}

type Asked = Question & Asker;

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
      const route = asksForEvents(request.method, request.headers) ? "client_events" : "client_reads";
      const asked = await askedOf(options, request, exchange, ["after", "since", "limit"], route);
      return await messages(asked, request, exchange, options, streams);
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
  { given, expiresAt, introspected, ...asked }: Asked,
  request: Request,
  { breakOff, endWithClient }: Exchange,
  options: ReadOptions,
  streams: OpenStreams,
): Promise<Response> {
  const { core, clock = Date.now } = options;
  const events = asksForEvents(request.method, request.headers);
  const last = events ? lastEventId(request.headers) : null;
  // A reader of events that comes back goes on after what it has, wherever it began; the core says whether that counts.
  const from = last === null ? given : [...given, ["lastEventId", last] as const];
  const answer = await core.read({ ...asked, given: from }, events ? "events" : "page");
  if (!events) return await passOn(answer, { ...options, request, breakOff, streams, cutShort: "breaks" });
  endWithClient?.();
  const ends = new AbortController();
  const stop = watchToken({ expiresAt, introspected, end: () => ends.abort(), clock, times: options.tokenWatch });
  return await passOn(answer, {
    ...options,
    request,
    breakOff,
    streams,
    cutShort: "ends",
    ends,
    onEnd: stop,
    // Proxies such as nginx would hold events back.
    headers: { "x-accel-buffering": "no" },
  });
}
