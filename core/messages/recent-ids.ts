// The message ids of the last two minutes, so that what an edge sent twice is one message (A4.4, unkeyed ids). The tail
// feeds it, as the tail sees what every core appended.
import type { Log } from "../log/log.ts";
import { type Message, toMessage } from "./message.ts";

const GENERATION_MS = 60_000;
const GENERATIONS = 3;

/** Where a message stands, as one number. */
export interface Place {
  readonly partition: number;
  readonly offset: number;
}

export class RecentIds {
  readonly #clock: () => number;
  /** Newest first; a generation is dropped whole. */
  #generations: Map<string, number>[] = [new Map()];
  #turned: number;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#turned = clock();
  }

  /** Notes a message of the tail; true if the same id stands before it, so that this one is a repeat. */
  seen(message: Message): boolean {
    this.#turn();
    const place = this.#find(message.id);
    if (place !== undefined) return place !== placeOf(message);
    this.#generations[0]!.set(message.id, placeOf(message));
    return false;
  }

  /** Whether a message read from the log is a repeat of an earlier one, as far as this memory reaches. */
  isRepeat(message: Message): boolean {
    const place = this.#find(message.id);
    return place !== undefined && place !== placeOf(message);
  }

  /** Where the message with this id stands. */
  find(id: string): Place | undefined {
    const place = this.#find(id);
    return place === undefined ? undefined : { partition: place % 4_096, offset: Math.floor(place / 4_096) };
  }

  #find(id: string): number | undefined {
    for (const generation of this.#generations) {
      const place = generation.get(id);
      if (place !== undefined) return place;
    }
    return undefined;
  }

  #turn(): void {
    const now = this.#clock();
    if (now - this.#turned < GENERATION_MS) return;
    this.#turned = now;
    this.#generations = [new Map(), ...this.#generations.slice(0, GENERATIONS - 1)];
  }
}

function placeOf({ partition, offset }: Message): number {
  return offset * 4_096 + partition;
}

const MEMORY_MS = 120_000;
const CHUNK_BYTES = 4 * 1024 * 1024;

/** Reads the memory's span again from the log, at start. */
export async function loadRecentIds(log: Log, ids: RecentIds, now: number): Promise<void> {
  for (let partition = 0; partition < log.partitions("messages"); partition++) {
    const end = await log.end("messages", partition);
    for (let from = await log.positionAt("messages", partition, now - MEMORY_MS); from < end;) {
      const chunk = await log.read("messages", partition, from, { maxBytes: CHUNK_BYTES });
      for (const record of chunk.records) ids.seen(toMessage(record));
      from = chunk.next;
    }
  }
}
