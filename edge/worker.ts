// The edge as a Worker on workerd (Cloudflare's runtime). Its settings are bindings; each isolate is an edge of its own, with its own
// session with the core.

import { waitUntil } from "cloudflare:workers";
import { getLogger } from "@logtape/logtape";
import { createWebDigests } from "../shared/digests.ts";
import { createFetchClient } from "../shared/http-client.ts";
import { createNoteBlocked } from "../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../shared/outbound/guard.ts";
import { CAPABILITIES, consequences } from "../shared/runtime/capabilities.ts";
import { createIsolateBusy } from "../shared/runtime/workerd/busy.ts";
import { configureConsole } from "../shared/runtime/workerd/logging.ts";
import { createIsolateMetrics } from "../shared/runtime/workerd/metrics.ts";
import { NO_OUTBOUND } from "../shared/runtime/workerd/outbound.ts";
import { type Bindings, isOpenToAll, parseBindings, type WorkerSettings } from "../shared/runtime/workerd/settings.ts";
import { type Settings, SettingsError } from "../shared/settings/settings.ts";
import { sentence } from "./answers/answers.ts";
import { assembleEdge } from "./assemble.ts";
import { WORKER_MEMORY, WORKER_MESSAGE_MAX_BYTES } from "./limits/memory.ts";

type Answer = (request: Request) => Promise<Response>;

/** A request that has waited so long for work of another one does that work itself, ms: the other one may have been dropped. */
const PATIENCE_MS = 5_000;

/** What this isolate answers with; made by its first request, since a Worker may do nothing before. */
let answer: Answer | undefined;

export default {
  fetch(request: Request, bindings: Bindings): Promise<Response> {
    answer ??= start(bindings);
    const answered = answer(request);
    // A client that leaves must not end the work: its places in limits would never be given back.
    waitUntil(answered);
    return answered;
  },
};

/** A Worker cannot refuse to start: with wrong bindings it answers every request with 503. */
function start(bindings: Bindings): Answer {
  try {
    return running(parseBindings(bindings, WORKER_MESSAGE_MAX_BYTES));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    configureConsole("info");
    const { message, publicMessage } = error;
    getLogger(["tidings", "edge", "process"]).fatal("The edge cannot start: {message}", { message });
    return (request) => Promise.resolve(misconfigured(request, publicMessage));
  }
}

function misconfigured({ url }: Request, message: string): Response {
  const isOperators = /^https?:\/\/[^/?#]*\/readyz(?:[?#]|$)/.test(url);
  const text = isOperators
    ? `The edge cannot start: ${message}.`
    : "This hub is not set up yet; its operator finds why at /readyz.";
  return sentence(503, text, { "retry-after": "60" });
}

function running({ settings, key, core }: WorkerSettings): Answer {
  configureConsole(settings.logLevel);
  sayWhatFollows(settings);
  const now = () => performance.now();
  const metrics = createIsolateMetrics({ tier: "edge" });
  const busy = createIsolateBusy(now);
  const internet = createFetchClient((...call) => fetch(...call));
  const { edge, fetchKeys } = assembleEdge({
    settings,
    metrics,
    http: core === undefined ? internet : createFetchClient((...call) => core.fetch(...call)),
    issuerHttp: internet,
    key,
    digests: createWebDigests(),
    outbound: NO_OUTBOUND,
    guard: createOutboundGuard(settings.outboundAllow),
    noteBlocked: createNoteBlocked(metrics, now),
    now,
    clock: () => Date.now(),
    busyMs: busy.ms,
    memory: WORKER_MEMORY,
    flights: { keep: waitUntil, patienceMs: PATIENCE_MS },
  });
  // The first request is being answered, so calls are allowed. What is wrong with an issuer is logged once an isolate.
  waitUntil(fetchKeys());
  return async (request) => {
    if (isOpenToAll(settings, request.url)) {
      return sentence(503, "TIDINGS_ACCESS is open, so this hub answers at loopback addresses only.");
    }
    return await busy.during(Promise.resolve(edge.fetch(request)));
  };
}

/** What an operator must know of this runtime, once an isolate. */
function sayWhatFollows({ requestsPerAddress, addressHeader }: Settings): void {
  const logger = getLogger(["tidings", "edge", "process"]);
  const can = CAPABILITIES.workerd;
  logger.info("Running on {runtime}: {consequences}", {
    runtime: can.name,
    consequences: consequences({ ...can, version: "" }).join("; "),
  });
  if (requestsPerAddress > 0 && addressHeader === undefined) {
    logger.warn("No limit holds by address: TIDINGS_ADDRESS_HEADER does not say which header tells a client's address");
  }
}
