// How many records of a key stand from an offset on. SQLite steps over all of them to count them, 50 ms for a million. So every STEP
// records of a key there is a milestone: only what lies before the first and after the last of them is counted anew. Milestones are found
// in turns, once.
import type { Client } from "@libsql/client/sqlite3";
import { createTurns } from "../../../shared/turn.ts";
import type { Stream } from "../log.ts";
import { startOf } from "./reading.ts";
import { tableOf } from "./tables.ts";

const STEP = 4_096;
/** Keys whose milestones are kept. A key that was forgotten gets its milestones anew. */
const MOST_KEYS = 1_000;

export class KeyCounts {
  readonly #client: Client;
  readonly #stream: Stream;
  readonly #step: number;
  /** Offsets of records of a key, ascending; from each to the next there are exactly `step` records of the key. */
  readonly #kept = new Map<string, readonly number[]>();
  /** The newest count of each key that is under way. The next one waits for it. */
  readonly #running = new Map<string, Promise<unknown>>();

  /** The stream is not compacted: records leave it by retention alone, the oldest first. */
  constructor(client: Client, stream: Stream, step: number = STEP) {
    this.#client = client;
    this.#stream = stream;
    this.#step = step;
  }

  /** Counts the records of a key at or after `from`; `end` is the stream's next offset. */
  async count(key: string, from: number, end: number): Promise<number> {
    const before = this.#running.get(key);
    const counting = (async () => {
      await before?.catch(() => {});
      return await this.#count(key, from, end);
    })();
    this.#running.set(key, counting);
    try {
      return await counting;
    } finally {
      if (this.#running.get(key) === counting) this.#running.delete(key);
    }
  }

  async #count(key: string, wanted: number, end: number): Promise<number> {
    const start = await startOf(this.#client, this.#stream, end);
    const from = Math.max(wanted, start);
    const milestones = await this.#milestones(key, from, start);
    const first = milestones.findIndex((offset) => offset >= from);
    // Records that came while the milestones were found are not counted.
    const last = milestones.findLastIndex((offset) => offset < end);
    if (first < 0 || first > last) return await this.#between(key, from, end);
    const atEnds = await this.#between(key, from, milestones[first]!) +
      await this.#between(key, milestones[last]!, end);
    return atEnds + (last - first) * this.#step;
  }

  /** Fewer than `step` records of the key lie between `from` and the milestone that follows it, and after the last milestone. */
  async #milestones(key: string, from: number, start: number): Promise<readonly number[]> {
    const find = this.#finder(key);
    const after = (offset: number, steps: number) =>
      find("AND offset >= ? ORDER BY offset LIMIT 1 OFFSET ?", [offset, steps]);
    const kept = (this.#kept.get(key) ?? []).filter((offset) => offset >= start);
    const first = kept[0] ?? await after(from, 0);
    if (first === undefined) return [];
    const earlier: number[] = [];
    for (let at: number | undefined = first; at !== undefined && at > from;) {
      at = await find("AND offset < ? AND offset >= ? ORDER BY offset DESC LIMIT 1 OFFSET ?", [
        at,
        from,
        this.#step - 1,
      ]);
      if (at !== undefined) earlier.push(at);
    }
    const milestones = [...earlier.toReversed(), first, ...kept.slice(1)];
    for (let at = await after(milestones.at(-1)!, this.#step); at !== undefined;) {
      milestones.push(at);
      at = await after(at, this.#step);
    }
    this.#keep(key, milestones);
    return milestones;
  }

  /** Finds the offset of a record of the key. */
  #finder(key: string) {
    const turn = createTurns();
    return async (condition: string, args: readonly number[]): Promise<number | undefined> => {
      await turn();
      const { rows: [row] } = await this.#client.execute({
        sql: `SELECT offset FROM ${tableOf(this.#stream)} WHERE key = ? ${condition}`,
        args: [key, ...args],
      });
      return row === undefined ? undefined : Number(row["offset"]);
    };
  }

  #keep(key: string, milestones: readonly number[]): void {
    this.#kept.delete(key);
    if (milestones.length === 1) return;
    if (this.#kept.size >= MOST_KEYS) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, milestones);
  }

  async #between(key: string, from: number, to: number): Promise<number> {
    const { rows: [row] } = await this.#client.execute({
      sql: `SELECT count(*) AS count FROM ${tableOf(this.#stream)} WHERE key = ? AND offset >= ? AND offset < ?`,
      args: [key, from, to],
    });
    return Number(row!["count"]);
  }
}
