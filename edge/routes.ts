// Every route of the edge, with what it needs. A path that is not listed here is not answered, and none is listed twice.

import type { Need } from "./auth/access.ts";

export interface Route {
  readonly method: "GET" | "POST" | "OPTIONS";
  readonly path: string;
  /** A column of the access table; `asked`: the column follows from what the request asks for (`NEED_OF`). */
  readonly needs: Need | "asked";
  readonly handler: HandlerName;
}

export type HandlerName =
  | "hub"
  | "options"
  | "guide"
  | "subscriptions"
  | "messages"
  | "deadLetters"
  | "failedContent"
  | "ack"
  | "resume"
  | "replay"
  | "healthz"
  | "readyz"
  | "metrics"
  | "actuator";

/** What subscribers ask for, and what they move. */
const SUBSCRIBER_ROUTES: readonly Route[] = [
  { method: "GET", path: "/subscriptions", needs: "subscription", handler: "subscriptions" },
  { method: "POST", path: "/subscriptions/ack", needs: "subscription", handler: "ack" },
  { method: "POST", path: "/subscriptions/resume", needs: "subscription", handler: "resume" },
  { method: "GET", path: "/messages", needs: "subscription", handler: "messages" },
  { method: "GET", path: "/dead-letters", needs: "subscription", handler: "deadLetters" },
  { method: "POST", path: "/dead-letters/replay", needs: "subscription", handler: "replay" },
  { method: "GET", path: "/websub/sync/failedmessage", needs: "secret", handler: "failedContent" },
];

/** HEAD is answered as GET, without the body; any other method of these paths is 405. */
export const ROUTES: readonly Route[] = [
  { method: "POST", path: "/hub", needs: "asked", handler: "hub" },
  { method: "OPTIONS", path: "/hub", needs: "nothing", handler: "options" },
  { method: "GET", path: "/hub", needs: "nothing", handler: "guide" },
  { method: "POST", path: "/", needs: "asked", handler: "hub" },
  { method: "OPTIONS", path: "/", needs: "nothing", handler: "options" },
  { method: "GET", path: "/", needs: "nothing", handler: "guide" },
  ...SUBSCRIBER_ROUTES,
  // WIRE §5: the gateways of MOSIP's sites pass on what is under /hub, and nothing else.
  ...SUBSCRIBER_ROUTES.map((route) => ({ ...route, path: `/hub${route.path}` })),
  { method: "GET", path: "/healthz", needs: "nothing", handler: "healthz" },
  { method: "GET", path: "/readyz", needs: "nothing", handler: "readyz" },
  { method: "GET", path: "/metrics", needs: "nothing", handler: "metrics" },
  { method: "GET", path: "/hub/actuator/health", needs: "nothing", handler: "actuator" },
];

/** The methods that a path takes, for `Allow`. */
export function allowOf(path: string): string {
  const methods = ROUTES.filter((route) => route.path === path).map(({ method }) => method);
  if (methods.includes("OPTIONS")) return "POST, OPTIONS";
  return methods.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]).join(", ");
}
