// Calls that the guard refused (WIRE §7): counted by path and reason, and logged with the host, for the operator alone. The
// requester that named the host learns no more than what the URL itself says.

import { getLogger } from "@logtape/logtape";
import type { Metrics } from "../metrics.ts";
import type { ForbiddenReason, OutboundGuard } from "./guard.ts";
import type { OutboundPath } from "./outbound.ts";

export interface BlockedCall {
  /** What the hub was about to do: take a request that names a callback, deliver, or call. */
  readonly path: OutboundPath | "request" | "delivery";
  readonly reason: ForbiddenReason;
  /** As a URL's parser writes it, or "" where there is none. */
  readonly host: string;
}

export type NoteBlocked = (blocked: BlockedCall) => void;

/** Counts and logs, at most `LOGGED_A_MINUTE` lines a minute: requesters cause them, and must not fill a disk. */
export function createNoteBlocked(metrics: Metrics, now: () => number): NoteBlocked {
  const logger = getLogger(["tidings", "guard"]);
  const blocked = metrics.counter(
    "tidings_outbound_blocked_total",
    "Calls that the outbound guard refused, by what they were for and why",
    ["path", "reason"],
  );
  let minute = -Infinity;
  let logged = 0;
  return ({ path, reason, host }) => {
    blocked.inc({ path, reason });
    if (now() - minute >= 60_000) [minute, logged] = [now(), 0];
    if (++logged > LOGGED_A_MINUTE) return;
    const rest = logged === LOGGED_A_MINUTE ? " (for a minute, further ones are only counted)" : "";
    const properties = { host: host.slice(0, 253), path, reason };
    // A forbidden address in a URL is a client's mistake, answered 400; a name that resolves to one deserves a warning.
    if (path === "request") logger.info(`Refused a request that names {host}: {reason}${rest}`, properties);
    else logger.warn(`Did not call {host} for a {path}: {reason}${rest}`, properties);
  };
}

const LOGGED_A_MINUTE = 60;

/** The guard for the callbacks that requests name: each refusal is noted. */
export function notingGuard(guard: OutboundGuard, note: NoteBlocked): OutboundGuard {
  return {
    ...guard,
    judgeUrl: (url) => {
      const verdict = guard.judgeUrl(url);
      if (verdict !== null) note({ path: "request", reason: verdict.reason, host: url.host });
      return verdict;
    },
  };
}
