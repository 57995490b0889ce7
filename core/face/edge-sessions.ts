// The sessions that edges have open at this core, and the tokens that opened them; the number of both is bounded.
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { CLOCK_SKEW_MS } from "../../shared/session-api.ts";
import { AntiReplayWindow } from "./anti-replay-window.ts";

export interface EdgeSession {
  /** The `kid` of the edge's key. */
  readonly edge: string;
  /** A key object: making one from the bytes for each request would cost more than its MAC. */
  readonly key: KeyObject;
  /** ms since 1970. */
  readonly expiresAt: number;
  readonly window: AntiReplayWindow;
}

/** The window of each session has 8 KiB. An edge has one session, and another one after a restart. */
const MOST_SESSIONS = 1_024;
const MOST_OF_ONE_EDGE = 256;
/** Tokens that opened a session; only a known edge can make one. */
const MOST_TOKENS = 10_000;
/** No token of an edge is valid for longer. */
const TOKENS_KEPT_MS = 4 * CLOCK_SKEW_MS;

export class EdgeSessions {
  readonly #sessions = new Map<string, EdgeSession>();
  /** Until when a token's id is remembered, ms since 1970; the oldest first. */
  readonly #tokens = new Map<string, number>();

  /** Uses up a token that opens a session: "used" if it opened one before, "full" if too many are remembered. */
  useToken(id: string, time: number): "fresh" | "used" | "full" {
    for (const [other, until] of this.#tokens) {
      if (until > time) break;
      this.#tokens.delete(other);
    }
    if (this.#tokens.has(id)) return "used";
    if (this.#tokens.size >= MOST_TOKENS) return "full";
    this.#tokens.set(id, time + TOKENS_KEPT_MS);
    return "fresh";
  }

  /** Opens a session; `key` is its key, 32 random bytes. */
  open(edge: string, time: number, sessionMs: number): { readonly id: string; readonly key: Buffer } {
    this.#makeRoom(edge, time);
    const [id, key] = [randomBytes(16).toString("base64url"), randomBytes(32)];
    const window = new AntiReplayWindow();
    this.#sessions.set(id, { edge, key: createSecretKey(key), expiresAt: time + sessionMs, window });
    return { id, key };
  }

  /** The session of this id, if it is open at `time`. */
  find(id: string, time: number): EdgeSession | undefined {
    const session = this.#sessions.get(id);
    return session === undefined || session.expiresAt <= time ? undefined : session;
  }

  /** Drops expired sessions; if an edge has too many, its oldest one; if there are too many in all, the oldest of all. */
  #makeRoom(edge: string, time: number): void {
    let ofEdge = 0;
    for (const [id, session] of this.#sessions) {
      if (session.expiresAt <= time) this.#sessions.delete(id);
      else if (session.edge === edge) ofEdge++;
    }
    if (ofEdge < MOST_OF_ONE_EDGE && this.#sessions.size < MOST_SESSIONS) return;
    for (const [id, session] of this.#sessions) {
      if (ofEdge >= MOST_OF_ONE_EDGE && session.edge !== edge) continue;
      this.#sessions.delete(id);
      return;
    }
  }
}
