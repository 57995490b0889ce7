// The message ids of the last two minutes: a message without a key that an edge sent twice is one message (A4.4). The tail feeds it, since
// the tail sees what every core appended.
import type { Log, Position } from "../log/log.ts";
import { type Message, toMessage } from "./message.ts";

/** Ids are remembered for at least this long. */
const MEMORY_MS = 120_000;
/** Ids are forgotten by generations. */
const GENERATION_MS = 60_000;
/** As many as make the memory's span, and the one that is being filled. */
const GENERATIONS = MEMORY_MS / GENERATION_MS + 1;
/** More than a log has partitions: a position is kept as one number, offset · this + partition. */
const MOST_PARTITIONS = 4_096;
const CHUNK_BYTES = 4 * 1024 * 1024;

export class RecentIds {
  readonly #clock: () => number;
  /** The position of each id's first message, as one number. The newest generation comes first; the oldest is dropped whole. */
  #generations: Map<string, number>[] = [new Map()];
  #turned: number;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#turned = clock();
  }

  /** Notes a message of the tail. Returns whether it is a repeat: the same id stands before it. */
  seen(message: Message): boolean {
    this.#turn();
    const first = this.#find(message.id);
    if (first !== undefined) return first !== numberOf(message);
    this.#generations[0]!.set(message.id, numberOf(message));
    return false;
  }

  /** Whether a message read from the log is a repeat of an earlier one, as far as this memory reaches. */
  isRepeat(message: Message): boolean {
    const first = this.#find(message.id);
    return first !== undefined && first !== numberOf(message);
  }

  /** Where the first message with this id stands; undefined if it is not remembered. */
  find(id: string): Position | undefined {
    const first = this.#find(id);
    if (first === undefined) return undefined;
    return { partition: first % MOST_PARTITIONS, offset: Math.floor(first / MOST_PARTITIONS) };
  }

  #find(id: string): number | undefined {
    for (const generation of this.#generations) {
      const first = generation.get(id);
      if (first !== undefined) return first;
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

function numberOf({ partition, offset }: Position): number {
  return offset * MOST_PARTITIONS + partition;
}

/** Reads the memory's span from the log, at start. `now`: ms since 1970. */
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
