// The position records of a shard's lanes as the log has them, and what a batch holds to change them (A4.3).
import type { ShardRecord } from "../log/log.ts";
import type { CursorRecord } from "../state/records.ts";

export class PositionRecords {
  /** As text: a million objects would be larger. */
  readonly #written = new Map<string, string>();

  constructor(cursors: ReadonlyMap<string, CursorRecord>) {
    for (const [id, record] of cursors) this.#written.set(id, JSON.stringify(record));
  }

  has(id: string): boolean {
    return this.#written.has(id);
  }
  get(id: string): CursorRecord | undefined {
    const text = this.#written.get(id);
    return text === undefined ? undefined : JSON.parse(text) as CursorRecord;
  }

  /** For a batch; nothing if the log has it already. */
  put(id: string, record: CursorRecord): ShardRecord[] {
    const { beyond, ...rest } = record;
    const text = JSON.stringify(beyond?.length === 0 ? rest : record);
    if (text === this.#written.get(id)) return [];
    this.#written.set(id, text);
    return [{ stream: "cursors", key: id, value: Buffer.from(text) }];
  }

  /** For a batch; nothing if there is none. */
  remove(id: string): ShardRecord[] {
    return this.#written.delete(id) ? [{ stream: "cursors", key: id, value: null }] : [];
  }
}
