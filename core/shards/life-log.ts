// The log lines about what happens to subscriptions, each with topic and callback in full and never with a secret. docs/operating.md
// lists them. Many subscriptions may share a fate in one moment, so each kind has a bounded number of lines a second.
import { getLogger } from "@logtape/logtape";

/** Beside these, each line has topic and callback. Times are ISO-8601. */
export type LifeLine =
  & { readonly topic: string; readonly callback: string }
  & (
    | { readonly event: "verified" | "renewed"; readonly leaseExpiresAt: string; readonly concurrency: number }
    | {
      readonly event: "unverified";
      readonly mode: "subscribe" | "unsubscribe";
      readonly outcome: string;
      readonly reason: string;
      readonly intent: string;
      /** Whether there is a subscription, which stands. */
      readonly stands: boolean;
    }
    | { readonly event: "denied" | "revoked"; readonly reason: string }
    | { readonly event: "expired"; readonly leaseExpiresAt: string }
    | { readonly event: "unsubscribed" | "gone" | "deregistered" }
    | { readonly event: "parked"; readonly since: string; readonly failures: number; readonly reason: string }
    | { readonly event: "recovered"; readonly since: string | null }
    | {
      readonly event: "dead letter";
      readonly messageId: string;
      readonly attempts: number;
      readonly status: number;
      readonly reason: string;
    }
  );
type Kind = LifeLine["event"];

const SENTENCES: Readonly<Record<Kind, string>> = {
  verified: "{callback} is subscribed to {topic} until {leaseExpiresAt}",
  renewed: "{callback} has renewed its subscription to {topic}, now until {leaseExpiresAt}",
  unverified: "{callback} did not confirm its {mode} of {topic}: {reason}",
  denied: "The subscribe of {callback} to {topic} is denied: {reason}",
  expired: "The lease of {callback} on {topic} is over since {leaseExpiresAt}",
  unsubscribed: "{callback} has unsubscribed from {topic}",
  gone: "{callback} answered 410, so its subscription to {topic} has ended",
  revoked: "The subscription of {callback} to {topic} has ended: {reason}",
  deregistered: "The subscription of {callback} to {topic} has ended: the topic was deregistered",
  parked: "{callback} is parked on {topic}: it has failed since {since}, {failures} times, last by {reason}",
  recovered: "{callback} takes deliveries of {topic} again; it had failed since {since}",
  "dead letter": "Message {messageId} of {topic} is a dead letter of {callback} after {attempts} attempts: {reason}",
};

/** Where a resume has made the hub forget since when. */
const RESUMED = "{callback} takes deliveries of {topic} again, after a resume";

export const MOST_LINES_A_SECOND = 100;
const WINDOW_MS = 1_000;

export class LifeLog {
  readonly #logger = getLogger(["tidings", "core", "subscriptions"]);
  readonly #now: () => number;
  #begun = -Infinity;
  readonly #said = new Map<Kind, number>();

  /** `now`: monotonic, ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether lines are written at all. */
  get isOn(): boolean {
    return this.#logger.isEnabledFor("info");
  }

  /** Writes the line, or counts it. */
  say(line: LifeLine): void {
    this.tick();
    const said = (this.#said.get(line.event) ?? 0) + 1;
    this.#said.set(line.event, said);
    const isResumed = line.event === "recovered" && line.since === null;
    if (said <= MOST_LINES_A_SECOND) this.#logger.info(isResumed ? RESUMED : SENTENCES[line.event], line);
  }

  /** Once a second: says how many lines of each kind were only counted. */
  tick(): void {
    if (this.#now() - this.#begun < WINDOW_MS) return;
    for (const [event, said] of this.#said) {
      const more = said - MOST_LINES_A_SECOND;
      if (more > 0) {
        this.#logger.info("And {more} more lines of the event {event}, which are left out", { more, event });
      }
    }
    this.#said.clear();
    this.#begun = this.#now();
  }
}
