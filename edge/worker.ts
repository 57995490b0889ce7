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
import { pathOf } from "./routes.ts";

type Answer = (request: Request) => Promise<Response>;

/** What an isolate answers: everybody, and its operator. */
interface Answers {
  readonly everybody: Answer;
  readonly operator: Answer;
}

/** A request that has waited so long for work of another one does that work itself, ms: the other one may have been dropped. */
const PATIENCE_MS = 5_000;

/** What this isolate answers with; made by its first request, since a Worker may do nothing before. */
let answers: Answers | undefined;

export default {
  fetch(request: Request, bindings: Bindings): Promise<Response> {
    return answered((answers ??= start(bindings)).everybody(request));
  },
};

/**
 * The operating app (WIRE §8), as an entrypoint of its own: no route leads to it. Another Worker reaches it by a service binding, or a
 * second socket of workerd does.
 */
export const operating = {
  fetch(request: Request, bindings: Bindings): Promise<Response> {
    return answered((answers ??= start(bindings)).operator(request));
  },
};

/** A client that leaves must not end the work: its places in limits would never be given back. */
function answered(answer: Promise<Response>): Promise<Response> {
  waitUntil(answer);
  return answer;
}

/** A Worker cannot refuse to start: with wrong bindings it answers every request with 503. */
function start(bindings: Bindings): Answers {
  try {
    return running(parseBindings(bindings, WORKER_MESSAGE_MAX_BYTES));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    configureConsole("info");
    const { message, publicMessage } = error;
    getLogger(["tidings", "edge", "process"]).fatal("The edge cannot start: {message}", { message });
    const refuse: Answer = (request) => Promise.resolve(misconfigured(request, publicMessage));
    return { everybody: refuse, operator: refuse };
  }
}

function misconfigured({ url }: Request, message: string): Response {
  const text = pathOf(url) === "/readyz"
    ? `The edge cannot start: ${message}.`
    : "This hub is not set up yet; its operator finds why at /readyz.";
  return sentence(503, text, { "retry-after": "60" });
}

function running({ settings, key, core }: WorkerSettings): Answers {
  configureConsole(settings.logLevel);
  sayWhatFollows(settings);
  const now = () => performance.now();
  const metrics = createIsolateMetrics({ tier: "edge" });
  const busy = createIsolateBusy(now);
  const internet = createFetchClient((...call) => fetch(...call));
  const { edge, operating, fetchKeys } = assembleEdge({
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
  return {
    everybody: async (request) => {
      if (isOpenToAll(settings, request.url)) {
        return sentence(503, "TIDINGS_ACCESS is open, so this hub answers at loopback addresses only.");
      }
      return await busy.during(Promise.resolve(edge.fetch(request)));
    },
    operator: async (request) => await operating(request),
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
