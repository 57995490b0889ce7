// The edge: stateless, one `fetch`. Kill it at any time; what it accepted is in the log, and what it had not yet verified
// the core verifies.

import { Hono } from "hono";
import { getLogger } from "@logtape/logtape";
import { sentence } from "./answers.ts";
import { guidePage, prefersHtml } from "./guide.ts";
import { createHubEndpoint } from "./hub-endpoint.ts";
import type { HubEndpointOptions } from "./hub-endpoint.ts";
import { createMissedEndpoints } from "./missed-endpoints.ts";
import type { MissedEndpointsOptions } from "./missed-endpoints.ts";
import type { Exchange } from "../shared/serve.ts";
import { addOperating } from "./operating.ts";

export interface EdgeOptions extends HubEndpointOptions, Pick<MissedEndpointsOptions, "stallMs" | "silenceMs"> {
  /** HUB_URL, for the page that browsers get. */
  readonly hubUrl: string;
}

export interface Edge {
  readonly fetch: (request: Request, exchange?: Exchange) => Response | Promise<Response>;
  /** Cuts the streams of missed messages, which would go on for ever, so that requests come to an end. */
  endStreams(): void;
  /** Lets verifications in flight end until `deadlineMs`; what is left the core takes. */
  close(deadlineMs: number): Promise<void>;
}

const ALLOW = { allow: "POST, OPTIONS" };

export function createEdge(options: EdgeOptions): Edge {
  const log = getLogger(["tidings", "edge", "http"]);
  const hub = createHubEndpoint(options);
  const missed = createMissedEndpoints(options);

  // `strict: false` ignores one trailing slash on every path.
  const app = new Hono<{ Bindings: Exchange }>({ strict: false });
  for (const path of ["/hub", "/"]) {
    app.post(path, (c) => hub(c.req.raw));
    app.options(path, () => new Response(null, { status: 204, headers: ALLOW }));
    // GET, and HEAD with it: Hono answers HEAD as GET without the body.
    app.get(path, (c) => guide(c.req.raw, options.hubUrl));
    app.all(path, () => sentence(405, "The hub takes POST.", ALLOW));
  }
  app.get("/subscriptions", (c) => missed.subscriptions(c.req.raw, c.env));
  app.post("/subscriptions/ack", (c) => missed.ack(c.req.raw, c.env));
  app.post("/subscriptions/resume", (c) => missed.resume(c.req.raw, c.env));
  app.post("/dead-letters/replay", (c) => missed.replay(c.req.raw, c.env));
  for (const path of ["/subscriptions/ack", "/subscriptions/resume", "/dead-letters/replay"]) {
    app.all(path, () => sentence(405, "This takes POST.", { allow: "POST" }));
  }
  app.get("/messages", (c) => missed.messages(c.req.raw, c.env));
  app.get("/dead-letters", (c) => missed.deadLetters(c.req.raw, c.env));
  addOperating(app, options.core, options.metrics);
  for (
    const path of [
      "/subscriptions",
      "/messages",
      "/dead-letters",
      "/healthz",
      "/readyz",
      "/metrics",
      "/hub/actuator/health",
    ]
  ) {
    app.all(path, () => sentence(405, "This takes GET.", { allow: "GET, HEAD" }));
  }
  app.notFound(() => sentence(404, "There is nothing here; the hub is at /hub."));
  app.onError((error) => {
    log.error("A request failed: {error}", { error });
    return sentence(500, "Something went wrong in the hub; send the request again a little later.");
  });

  return {
    fetch: (request, exchange = {}) => app.fetch(request, exchange),
    endStreams: () => missed.close(),
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
