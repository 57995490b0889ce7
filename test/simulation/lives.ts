// The auditor's own account of a subscription: its lives follow from the events in the log and from what its owner found out
// itself. It is written after ARCHITECTURE §3 and WIRE §2, not after the product's fold.

/** An event of a pair, as the log has it. */
export interface Told {
  readonly offset: number;
  readonly time: number;
  readonly event: EventFields;
}

/** The fields of events that the account uses. */
export interface EventFields {
  readonly type: string;
  readonly id: string;
  readonly time: number;
  readonly mode?: "subscribe" | "unsubscribe";
  readonly end?: number;
  readonly start?: number;
  readonly leaseMs?: number;
  readonly secret?: string;
  readonly concurrency?: number;
  readonly denied?: string;
  readonly intent?: string;
  readonly verified?: boolean;
  readonly challengedAt?: number;
  readonly next?: number;
  readonly from?: number;
}

/** What the owner found out itself, and the position in `events` up to which it had folded. */
export type Found =
  | { readonly kind: "gone"; readonly before: number; readonly time: number; readonly stoodAt: number }
  | {
    readonly kind: "verified";
    readonly before: number;
    readonly time: number;
    readonly intent: number;
    readonly expiresAt: number;
    readonly unsubscribedAt: number;
  };

/** A verified subscribe: the hub signs with its secret from then on. */
export interface Verified {
  readonly intent: number;
  /** When the result was in the log. */
  readonly time: number;
  readonly secret: string | undefined;
  readonly expiresAt: number;
  readonly concurrency: number;
}

export interface Move {
  readonly kind: "ack" | "resume";
  readonly time: number;
  /** Messages before this offset are done (ack) or skipped (resume). */
  readonly to: number | undefined;
}

export interface Life {
  readonly life: number;
  readonly start: number;
  readonly began: number;
  ended: { readonly time: number; readonly how: string } | undefined;
  readonly verified: Verified[];
  readonly moves: Move[];
}

export interface Account {
  readonly lives: readonly Life[];
  /** The newest verified intent; -1 if there is none. */
  readonly verified: number;
  readonly phase: "none" | "pending" | "live" | "unsubscribed" | "gone" | "deregistered";
}

interface Pending {
  readonly offset: number;
  readonly event: EventFields;
}

const MOST_PENDING = 4;

export function accountOf(told: readonly Told[], found: readonly Found[]): Account {
  const lives: Life[] = [];
  const seen = new Set<string>();
  let pending: Pending[] = [];
  let verified = -1;
  let unsubscribedAt = 0;
  let phase: Account["phase"] = "none";
  const live = () => phase === "live" ? lives.at(-1) : undefined;

  function end(how: "unsubscribed" | "gone" | "deregistered", time: number): void {
    const life = live();
    if (life === undefined) return;
    life.ended = { time, how };
    phase = how;
  }

  /** WIRE §2: the log's end at the subscribe, or at the oldest subscribe that it overtakes, because the yes may come later. */
  function beginOf({ offset, event }: Pending): number {
    let begin = event.end ?? 0;
    for (const older of pending.toReversed()) {
      if (older.offset >= offset) continue;
      if (older.event.mode === "unsubscribe") break;
      begin = Math.min(begin, older.event.end ?? 0);
    }
    return begin;
  }

  function subscribe({ offset, event }: Pending, begin: number, time: number, expiresAt: number): void {
    const { secret, concurrency = 1 } = event;
    const renewed = { intent: offset, time, secret, expiresAt, concurrency };
    const current = live();
    if (current !== undefined) return void current.verified.push(renewed);
    const start = event.start ?? Math.max(begin, unsubscribedAt);
    lives.push({ life: offset, start, began: time, ended: undefined, verified: [renewed], moves: [] });
    phase = "live";
  }

  function close(intent: Pending, verifies: boolean): boolean {
    pending = pending.filter((other) => other !== intent && !(verifies && other.offset < intent.offset));
    if (!verifies || intent.offset <= verified) return false;
    verified = intent.offset;
    return true;
  }

  function find(finding: Found): void {
    if (finding.kind === "gone") {
      end("gone", finding.time);
      unsubscribedAt = Math.max(unsubscribedAt, finding.stoodAt);
      return;
    }
    const intent = pending.find(({ offset }) => offset === finding.intent);
    const begin = intent === undefined ? 0 : beginOf(intent);
    if (intent === undefined || !close(intent, true)) return;
    if (intent.event.mode === "subscribe") return subscribe(intent, begin, finding.time, finding.expiresAt);
    unsubscribedAt = finding.unsubscribedAt;
    end("unsubscribed", finding.time);
  }

  function fold({ offset, time, event }: Told): void {
    if (event.type !== "ack" && event.type !== "resume") {
      if (seen.has(event.id)) return;
      seen.add(event.id);
    }
    switch (event.type) {
      case "intent":
        if (phase === "none") phase = "pending";
        if (event.denied === undefined) pending = [...pending, { offset, event }].slice(-MOST_PENDING);
        return;
      case "result": {
        const intent = pending.find((one) => one.event.id === event.intent);
        const begin = intent === undefined ? 0 : beginOf(intent);
        if (intent === undefined || !close(intent, event.verified === true)) return;
        if (intent.event.mode === "subscribe") {
          return subscribe(intent, begin, time, (event.challengedAt ?? 0) + (intent.event.leaseMs ?? 0));
        }
        unsubscribedAt = event.end ?? unsubscribedAt;
        // It ends only intents that are older than itself.
        return end("unsubscribed", time);
      }
      case "deregister":
        pending = [];
        return end("deregistered", time);
      case "ack":
        live()?.moves.push({ kind: "ack", time, to: event.next });
        return;
      case "resume": {
        const life = live();
        const to = event.from === undefined || life === undefined ? undefined : Math.max(event.from, life.start);
        life?.moves.push({ kind: "resume", time, to });
        return;
      }
    }
  }

  const findings = found.toSorted((a, b) => a.before - b.before);
  for (const one of told) {
    while (findings.length > 0 && findings[0]!.before <= one.offset) find(findings.shift()!);
    fold(one);
  }
  for (const finding of findings) find(finding);
  return { lives, verified, phase };
}
