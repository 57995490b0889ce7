// The core's door (ARCHITECTURE §5): nothing of the core's ingest is answered but to an edge that is known, in a session that it
// opened, once, in time, and unaltered. What is refused is counted by its reason.
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { decodeProtectedHeader, errors, importJWK, jwtVerify } from "jose";
import type { EdgePublicKey, SealingKey } from "../../shared/jwks.ts";
import { readBody } from "../../shared/request-body.ts";
import {
  CLOCK_SKEW_MS,
  readTicket,
  SESSION_ALGORITHM,
  SESSION_AUDIENCE,
  SESSION_HEADER,
  type SessionAnswer,
  sessionText,
} from "../../shared/session-api.ts";
import { Refusal } from "../requests/refusal.ts";
import { ReplayWindow } from "./anti-replay-window.ts";

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
   * The body of a request that may come in. `target`: of the request line, if the runtime tells it.
   * @throws {Refusal} "no_session" @throws {BodyTooLargeError}
   */
  admit(request: Request, target: string | undefined, maxBytes: number): Promise<Uint8Array>;
}

interface Session {
  readonly edge: string;
  /** Not its bytes: taking those in for each request would cost more than its MAC. */
  readonly key: KeyObject;
  readonly expiresAt: number;
  readonly window: ReplayWindow;
}

const SESSION_MS = 3_600_000;
/** The window of each is 8 KiB; an edge has one, and another after a restart. */
const MOST_SESSIONS = 1_024;
const MOST_OF_ONE_EDGE = 256;
/** Tokens that opened a session; only a known edge can make one. */
const MOST_TOKENS = 10_000;
/** Longer than any token of these counts. */
const TOKENS_KEPT_MS = 4 * CLOCK_SKEW_MS;
/** Each reason is logged this often at most: whoever reaches the port could fill the disk. */
const LOGGED_EVERY_MS = 60_000;
const NOTHING = new Uint8Array(0);

export function createDoor({ edges, sealingKeys, clock, onRefused, sessionMs = SESSION_MS }: DoorOptions): Door {
  const sessions = new Map<string, Session>();
  /** Until when, ms, in the order in which they came. */
  const used = new Map<string, number>();

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
    const { edge, jti } = await identify(request.headers.get("authorization"));
    const time = clock();
    for (const [id, until] of used) {
      if (until > time) break;
      used.delete(id);
    }
    if (used.has(jti)) throw refuse("replayed", "The edge's token has opened a session already");
    if (used.size >= MOST_TOKENS) throw refuse("replayed", "Edges open more sessions than this core remembers");
    used.set(jti, time + TOKENS_KEPT_MS);
    makeRoom(edge, time);
    const [session, key] = [randomBytes(16).toString("base64url"), randomBytes(32)];
    sessions.set(session, { edge, key: createSecretKey(key), expiresAt: time + sessionMs, window: new ReplayWindow() });
    logger.debug("Edge {edge} opened a session", { edge });
    return { session, key: key.toString("base64url"), expiresInMs: sessionMs, jwks: { keys: sealingKeys } };
  }

  /** Drops what is over; of an edge that opens too many, and of all, the oldest. */
  function makeRoom(edge: string, time: number): void {
    let ofEdge = 0;
    for (const [id, session] of sessions) {
      if (session.expiresAt <= time) sessions.delete(id);
      else if (session.edge === edge) ofEdge++;
    }
    if (ofEdge < MOST_OF_ONE_EDGE && sessions.size < MOST_SESSIONS) return;
    for (const [id, session] of sessions) {
      if (ofEdge >= MOST_OF_ONE_EDGE && session.edge !== edge) continue;
      sessions.delete(id);
      return;
    }
  }

  async function identify(authorization: string | null): Promise<{ edge: string; jti: string }> {
    const token = /^Bearer ([A-Za-z0-9_.-]{1,2048})$/.exec(authorization ?? "")?.[1];
    if (token === undefined) throw refuse("bad_token", "There is no token of an edge; open a session with one");
    let kid: string | undefined;
    try {
      kid = decodeProtectedHeader(token).kid;
    } catch {
      throw refuse("bad_token", "The edge's token is not a JWT");
    }
    const known = edges.find((edge) => edge.kid === kid);
    if (known === undefined) {
      const name = JSON.stringify(kid ?? "").slice(0, 70);
      throw refuse("unknown_edge", `Edge key ${name} is not known here; add its public half to TIDINGS_EDGE_KEYS`);
    }
    try {
      const { payload } = await jwtVerify(token, await importJWK(known, SESSION_ALGORITHM), {
        algorithms: [SESSION_ALGORITHM],
        audience: SESSION_AUDIENCE,
        requiredClaims: ["iat", "jti"],
        maxTokenAge: CLOCK_SKEW_MS / 1_000,
        // jose refuses an issue time that lies ahead of this clock beyond this.
        clockTolerance: CLOCK_SKEW_MS / 1_000,
        currentDate: new Date(clock()),
      });
      if (typeof payload.jti !== "string" || payload.jti.length > 64) throw new Error("its jti is wrong");
      return { edge: known.kid, jti: `${known.kid} ${payload.jti}` };
    } catch (error) {
      const late = error instanceof errors.JWTExpired ||
        (error instanceof errors.JWTClaimValidationFailed && error.claim === "iat");
      if (late) throw refuse("stale_clock", "The edge's token is too old, or of the future: compare the clocks");
      throw refuse("bad_token", `The edge's token does not count: ${(error as Error).message}`);
    }
  }

  async function admit(request: Request, target: string | undefined, maxBytes: number): Promise<Uint8Array> {
    const { headers, method } = request;
    const ticket = readTicket(headers.get(SESSION_HEADER));
    const session = sessions.get(ticket?.session ?? "");
    if (ticket === undefined || session === undefined || session.expiresAt <= clock()) {
      throw refuse("no_session", "The request is of no session that is open here; open one");
    }
    if (Math.abs(clock() - Number(ticket.time)) > CLOCK_SKEW_MS) {
      throw refuse("stale_clock", "The request is too old, or of the future: compare the clocks of edge and core");
    }
    const number = Number(ticket.number);
    if (!session.window.isFresh(number)) throw refuse("replayed", "The request's number was used already");
    const body = method === "GET" ? NOTHING : await readBody(request, maxBytes);
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
    // Another copy of it may have come in while the body was read.
    if (!session.window.isFresh(number)) throw refuse("replayed", "The request's number was used already");
    session.window.use(number);
    return body;
  }

  return { open, admit };
}

function targetOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("//") + 2));
}
