// What a shard's owner finds out itself (A3.5). It is folded in the next step of the shard's loop, never by way of `events`.
import type { ResultEvent } from "../state/events.ts";
import type { Fetched, Notice } from "../state/records.ts";
import type { ReplayResult } from "./effects-port.ts";

export type Finding =
  /** A callback answered 410. Everything before `stoodAt` was delivered, or answered 410. */
  | { readonly kind: "gone"; readonly id: string; readonly life: number; readonly stoodAt: number }
  | { readonly kind: "noticeSent"; readonly id: string; readonly notice: Notice }
  | { readonly kind: "verified"; readonly id: string; readonly result: ResultEvent }
  /** A topic's pings up to the `events` offset `ping` are answered. `fetched` is undefined if the fetch was given up. */
  | {
    readonly kind: "fetched";
    readonly topicId: string;
    readonly ping: number;
    readonly fetched: Fetched | undefined;
  }
  | { readonly kind: "replayed"; readonly id: string; readonly life: number; readonly result: ReplayResult }
  /** A topic that no register made is needed at this time, ms. */
  | { readonly kind: "topicUsed"; readonly topicId: string; readonly at: number }
  /** Such a topic was not needed since this time, ms, for as long as it may be. */
  | { readonly kind: "topicUnused"; readonly topicId: string; readonly usedAt: number }
  /** A secret was sealed to the newest key. */
  | { readonly kind: "resealed"; readonly id: string; readonly before: string; readonly after: string };

export class Findings {
  readonly #wake: () => void;
  #waiting: Finding[] = [];

  /** `wake` is called when there is something to fold. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  add(finding: Finding): void {
    this.#waiting.push(finding);
    this.#wake();
  }

  /** Returns what waits, in the order in which it was found, and forgets it. */
  drain(): readonly Finding[] {
    return this.#waiting.splice(0);
  }
}
