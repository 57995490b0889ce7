// Every route of the public edge, with what it needs and which limits it has. A path that is not listed here is not answered, and none is
// listed twice. Nothing else looks at a request's path.

import type { Need } from "./auth/access.ts";
import type { RouteLimit } from "./limits/limits.ts";

export interface Route {
  readonly method: "GET" | "POST" | "OPTIONS";
  readonly path: string;
  /** A column of the access table; `asked`: the column follows from what the request asks for (`NEED_OF`). */
  readonly needs: Need | "asked";
  /** Default `address`; so has what no route answers. */
  readonly limit?: RouteLimit;
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
  { method: "POST", path: "/hub", needs: "asked", limit: "load", handler: "hub" },
  { method: "OPTIONS", path: "/hub", needs: "nothing", handler: "options" },
  { method: "GET", path: "/hub", needs: "nothing", handler: "guide" },
  { method: "POST", path: "/", needs: "asked", limit: "load", handler: "hub" },
  { method: "OPTIONS", path: "/", needs: "nothing", handler: "options" },
  { method: "GET", path: "/", needs: "nothing", handler: "guide" },
  ...SUBSCRIBER_ROUTES,
  // WIRE §5: the gateways of MOSIP's sites pass on what is under /hub, and nothing else.
  ...SUBSCRIBER_ROUTES.map((route) => ({ ...route, path: `/hub${route.path}` })),
  { method: "GET", path: "/healthz", needs: "nothing", limit: "probe", handler: "healthz" },
  { method: "GET", path: "/readyz", needs: "nothing", limit: "probe", handler: "readyz" },
  { method: "GET", path: "/hub/actuator/health", needs: "nothing", limit: "probe", handler: "actuator" },
];

/**
 * The path that routes: as it was sent, without one slash at its end, with its percent-encoded letters as letters. `target` is that of the
 * request line; it may have an origin in front. Dots, double slashes and %2F mean nothing: a gateway that lets only /hub pass would
 * read `/hub/../readyz` in another way.
 */
export function pathOf(target: string): string {
  const from = /^https?:\/\/[^/?#]*/i.exec(target)?.[0].length ?? 0;
  const end = target.slice(from).search(/[?#]/);
  const sent = target.slice(from, end === -1 ? undefined : from + end);
  const path = sent.includes("%") ? decoded(sent) : sent;
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path || "/";
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    // Bytes that are not UTF-8 are of no path of ours.
    return path;
  }
}

/** The methods that a path takes, for `Allow`. */
export function allowOf(path: string): string {
  const methods = ROUTES.filter((route) => route.path === path).map(({ method }) => method);
  if (methods.includes("OPTIONS")) return "POST, OPTIONS";
  return methods.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]).join(", ");
}
