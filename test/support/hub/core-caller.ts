// Calls a core's port as an edge does: the edge's own code opens a session and signs each call.
import { createSessions, type Sessions } from "../../../edge/core/session.ts";
import type { EdgeKey } from "../../../shared/jwks.ts";
import { NODE_DIGESTS } from "../../../shared/runtime/digests.ts";
import { call, type CallOptions, type Reply } from "../servers/http.ts";
import { EDGE_KEY } from "../keys.ts";

/** `path` is the target, byte for byte. */
export type CoreCall = (path: string, options?: CallOptions) => Promise<Reply>;

/** Sessions, each call on a connection of its own. `clock` yields ms since 1970. */
export function createTestSessions(
  { key = EDGE_KEY, clock = Date.now }: { key?: EdgeKey; clock?: () => number } = {},
): Sessions {
  const send = async ({ origin, path, method, headers }: { origin: string } & CallOptions & { path: string }) => {
    const { status, body } = await call(`${origin}${path}`, { method: method!, headers: headers! });
    return { status, body };
  };
  return createSessions({ http: { send }, key, digests: NODE_DIGESTS, clock });
}

/** A caller of the core at this origin, with the core's clock. */
export function createCoreCaller(origin: string, options: { key?: EdgeKey; clock?: () => number } = {}): CoreCall {
  const sessions = createTestSessions(options);
  return async (path, { method, headers = {}, body } = {}) => {
    const asked = method ?? (body === undefined ? "GET" : "POST");
    if (asked !== "GET" && asked !== "POST") return await call(`${origin}${path}`, { method: asked, headers });
    const session = await sessions.with(origin, 10_000);
    const signed = await session.sign({ method: asked, path, headers, ...(body === undefined ? {} : { body }) });
    return await call(origin, { ...signed, target: path });
  };
}
