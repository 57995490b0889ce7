// The edge: stateless, one `fetch`. It may be killed at any time: what it accepted is in the log, and the core verifies what
// the edge had not verified yet.

import { type Context, Hono } from "hono";
import { getLogger } from "@logtape/logtape";
import { sentence } from "./answers/answers.ts";
import { guidePage, prefersHtml } from "./hub/guide.ts";
import { createHubEndpoint } from "./hub/endpoint.ts";
import type { HubEndpointOptions } from "./hub/endpoint.ts";
import { createFailedContentEndpoint } from "./subscriber/failed-content.ts";
import { createMoveEndpoints } from "./subscriber/moves.ts";
import { OpenStreams } from "./subscriber/open-streams.ts";
import { createReadEndpoints, type ReadOptions } from "./subscriber/reads.ts";
import type { Exchange } from "../shared/serve.ts";
import type { RouteLimit } from "./limits/limits.ts";
import type { Probes } from "./operating/probes.ts";
import { allowOf, type HandlerName, pathOf, ROUTES } from "./routes.ts";

export interface EdgeOptions
  extends HubEndpointOptions, Pick<ReadOptions, "stallMs" | "silenceMs" | "clock" | "tokenWatch"> {
  /** HUB_URL, for the page that browsers get. */
  readonly hubUrl: string;
  readonly probes: Probes;
}

export interface Edge {
  readonly fetch: (request: Request, exchange?: Exchange) => Response | Promise<Response>;
  /** All routes, as the router has them. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  /** Cuts the streams of missed messages, which would go on for ever, so that requests come to an end. */
  endStreams(): void;
  /** Lets verifications in flight end until `deadlineMs`; the core takes over what is left. */
  close(deadlineMs: number): Promise<void>;
}

type Handler = (request: Request, exchange: Exchange) => Response | Promise<Response>;

const ALLOW = { allow: "POST, OPTIONS" };

export function createEdge(options: EdgeOptions): Edge {
  const logger = getLogger(["tidings", "edge", "http"]);
  const streams = new OpenStreams();
  const handlers: Readonly<Record<HandlerName, Handler>> = {
    hub: createHubEndpoint(options),
    options: () => new Response(null, { status: 204, headers: ALLOW }),
    guide: (request) => guide(request, options.hubUrl),
    ...createReadEndpoints(options, streams),
    ...createMoveEndpoints(options),
    failedContent: createFailedContentEndpoint(options, streams),
    ...options.probes,
  };

  // Hono answers HEAD as GET without the body.
  const app = new Hono<{ Bindings: Exchange }>({
    getPath: ({ url }, exchange) => pathOf((exchange?.env as Exchange | undefined)?.target ?? url),
  });
  // The route that answers a request says which limits it has: no other reading of its path can disagree.
  const limited = (handle: Handler, limit?: RouteLimit) => ({ req: { raw }, env }: Context<{ Bindings: Exchange }>) =>
    options.limits.refusal(raw, env, limit) ?? handle(raw, env);
  for (const { method, path, limit, handler } of ROUTES) app.on(method, path, limited(handlers[handler], limit));
  for (const path of new Set(ROUTES.map((route) => route.path))) {
    const allow = allowOf(path);
    const takes = allow === ALLOW.allow ? "The hub takes POST." : `This takes ${allow.split(",", 1)[0]}.`;
    app.all(path, limited(() => sentence(405, takes, { allow })));
  }
  app.notFound(limited(() => sentence(404, "There is nothing here; the hub is at /hub.")));
  app.onError((error) => {
    logger.error("A request failed: {error}", { error });
    return sentence(500, "Something went wrong in the hub; send the request again a little later.");
  });

  return {
    fetch: (request, exchange = {}) => app.fetch(request, exchange),
    routes: app.routes,
    endStreams: () => streams.end(),
    close: (deadlineMs) => options.verifier.close(deadlineMs),
  };
}

function guide(request: Request, hubUrl: string): Response {
  if (!prefersHtml(request.headers.get("accept"))) {
    return sentence(405, "This is a WebSub hub; it takes POST (https://www.w3.org/TR/websub/).", ALLOW);
  }
  const headers = { "content-type": "text/html; charset=utf-8", vary: "Accept", ...ALLOW };
  return new Response(guidePage(hubUrl), { status: 405, headers });
}
