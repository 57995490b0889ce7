// The core's door (ARCHITECTURE §5): the core answers only requests of a known edge, in a session which that edge has opened; each
// request counts once, in time, and as the edge signed it. Refusals are counted by their reason.
import { createHmac, timingSafeEqual } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import type { EdgePublicKey, SealingKey } from "../../shared/jwks.ts";
import { type BodyPace, readBody } from "../../shared/request-body.ts";
import {
  CLOCK_SKEW_MS,
  readTicket,
  SESSION_HEADER,
  type SessionAnswer,
  sessionText,
} from "../../shared/session-api.ts";
import { Refusal } from "../requests/refusal.ts";
import { EdgeSessions } from "./edge-sessions.ts";
import { verifyEdgeToken } from "./edge-token.ts";

const logger = getLogger(["tidings", "core", "session"]);

/** Why a request or a session was refused. */
export const DOOR_REASONS = ["unknown_edge", "bad_token", "no_session", "stale_clock", "replayed", "altered"] as const;
export type DoorReason = (typeof DOOR_REASONS)[number];

export interface DoorOptions {
  /** EDGE_KEYS. */
  readonly edges: readonly EdgePublicKey[];
  /** The core's public keys, the one to seal to first. */
  readonly sealingKeys: readonly SealingKey[];
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly onRefused: (reason: DoorReason) => void;
  /** Default 1 h. */
  readonly sessionMs?: number;
}

export interface Door {
  /** Opens a session for the edge whose token this request carries. @throws {Refusal} "no_session" */
  open(request: Request): Promise<SessionAnswer>;
  /**
   * Lets a request in; yields its body. `target` is that of the request line, if the runtime tells it.
   * @throws {Refusal} "no_session" @throws {BodyTooLargeError}
   */
  admit(request: Request, target: string | undefined, maxBytes: number): Promise<Uint8Array>;
}

const SESSION_MS = 3_600_000;
/** Each reason is logged this often at most: anyone who reaches the port could fill the disk. */
const LOGGED_EVERY_MS = 60_000;
/** An edge bounds what it sends, and the server ends a request that takes over a minute. A process that was stopped may go on with its body. */
const PACE_OF_EDGES: BodyPace = { graceMs: 90_000, bytesPerSecond: 1_024 };
const NO_BODY = new Uint8Array(0);

export function createDoor({ edges, sealingKeys, clock, onRefused, sessionMs = SESSION_MS }: DoorOptions): Door {
  const sessions = new EdgeSessions();
  const loggedAt = new Map<DoorReason, number>();

  function refuse(reason: DoorReason, message: string): Refusal {
    onRefused(reason);
    if (clock() - (loggedAt.get(reason) ?? -Infinity) >= LOGGED_EVERY_MS) {
      loggedAt.set(reason, clock());
      logger.warn("Refused at the core's port ({reason}): {message}", { reason, message });
    }
    return new Refusal("no_session", message);
  }

  async function open(request: Request): Promise<SessionAnswer> {
    const verdict = await verifyEdgeToken(request.headers.get("authorization"), edges, clock());
    if (verdict.kind === "refused") throw refuse(verdict.reason, verdict.message);
    const { edge, tokenId } = verdict;
    const time = clock();
    const use = sessions.useToken(tokenId, time);
    if (use === "used") throw refuse("replayed", "The edge's token has opened a session already");
    if (use === "full") throw refuse("replayed", "Edges open more sessions than this core remembers");
    const { id, key } = sessions.open(edge, time, sessionMs);
    logger.debug("Edge {edge} opened a session", { edge });
    return { session: id, key: key.toString("base64url"), expiresInMs: sessionMs, jwks: { keys: sealingKeys } };
  }

  async function admit(request: Request, target: string | undefined, maxBytes: number): Promise<Uint8Array> {
    const { headers, method } = request;
    const ticket = readTicket(headers.get(SESSION_HEADER));
    const session = ticket === undefined ? undefined : sessions.find(ticket.session, clock());
    if (ticket === undefined || session === undefined) {
      throw refuse("no_session", "The request belongs to no session that is open here; open one");
    }
    if (Math.abs(clock() - Number(ticket.time)) > CLOCK_SKEW_MS) {
      throw refuse("stale_clock", "The request is too old, or of the future: compare the clocks of edge and core");
    }
    const number = Number(ticket.number);
    if (!session.window.isFresh(number)) throw refuse("replayed", "The request's number was used already");
    const body = method === "GET" ? NO_BODY : await readBody(request, { maxBytes, pace: PACE_OF_EDGES });
    const text = sessionText({
      method,
      target: target ?? targetOf(request.url),
      ...ticket,
      header: (name) => headers.get(name),
    });
    const right = createHmac("sha256", session.key).update(text).update(body).digest();
    if (!timingSafeEqual(Buffer.from(ticket.mac, "base64url"), right)) {
      throw refuse("altered", "The request is not as the edge signed it");
    }
    // A copy of the request may have come in while the body was read.
    if (!session.window.isFresh(number)) throw refuse("replayed", "The request's number was used already");
    session.window.use(number);
    return body;
  }

  return { open, admit };
}

function targetOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("//") + 2));
}
