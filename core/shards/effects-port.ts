// The port of a shard's effects: what reaches out after a commit (A3.10). The adapter is in core/effects/.
import type { Outcome } from "../delivery/lane/outcome.ts";
import type { Message } from "../messages/message.ts";
import type { ResultEvent } from "../state/events.ts";
import type { Fetched, Notice, PendingIntent, Replay, TopicRecord } from "../state/records.ts";

/** Each effect may run twice. An effect does not report back if the process is stopping: then it stays owed. */
export interface Effects {
  /** Sends the denied notice, then calls `sent`. */
  notify(notice: Notice, sent: () => void): void;
  /** Verifies an intent of which no edge brought the result; `found` gets the result to fold. */
  verify(intent: PendingIntent, found: (result: ResultEvent) => void): void;
  /** Fetches a topic that was pinged. `mayAct` is asked right before each request, and before what came is published (A3.4). */
  fetch(
    topicId: string,
    topic: TopicRecord,
    fetched: (ping: number, fetched: Fetched | undefined) => void,
    mayAct: () => boolean,
  ): void;
  /** Says that another ping came while a fetch waits, or pauses between tries; `topic` says whose. */
  hurry(topicId: string, topic: TopicRecord): void;
  /** Deals with the next dead letter of a replay; `replayed` gets what came of it. */
  replay(owed: OwedReplay, replayed: (result: ReplayResult) => void): void;
}

/** A replay of which at least one dead letter may be left. */
export interface OwedReplay {
  readonly subscriptionId: string;
  readonly life: number;
  readonly replay: Replay;
  /** Whether the replay is still owed: the subscription may have ended, or its lease may be over. */
  readonly isOwed: () => boolean;
  /** One attempt beside the subscription's lane; undefined if none may start now. */
  readonly send: (message: Message) => Promise<Outcome> | undefined;
}

export type ReplayResult =
  /** The dead letter at this place was delivered, or stays a dead letter. */
  | { readonly kind: "delivered" | "kept"; readonly place: number }
  /** The replay has no dead letter left. */
  | { readonly kind: "none" }
  /** The replay is no longer owed. */
  | { readonly kind: "over" };
