import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Client } from "@libsql/client/sqlite3";
import { KeyCounts } from "../../../../core/log/libsql/key-counts.ts";
import { openLibsqlLog } from "../../../../core/log/libsql/libsql-log.ts";
import { withDirectory } from "../../../support/rigs/core-rig.ts";
import { inFile } from "../../../support/sqlite-file.ts";

/** Runs a test on the file of an embedded log, which is closed. */
async function onFile(run: (client: Client) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const log = await openLibsqlLog({ directory, retentionMs: 60_000, maxMessageBytes: 1_000, onFatal: assert.fail });
    await log.close();
    await inFile(join(directory, "log.db"), run);
  });
}

const append = (client: Client, key: string, count: number) =>
  client.execute({
    sql: `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
      INSERT INTO s_messages (key, time, headers) SELECT ?, 0, '{}' FROM n`,
    args: [count, key],
  });

/** The client, which also counts how many records its statements step over. */
function stepping(client: Client) {
  const seen = { steps: 0 };
  const execute = async (statement: string | { readonly sql: string; readonly args: (string | number)[] }) => {
    const { sql, args } = typeof statement === "string" ? { sql: statement, args: [] } : statement;
    const result = await client.execute({ sql, args });
    const counted = result.rows[0]?.["count"];
    if (counted !== undefined) seen.steps += Number(counted);
    else if (sql.endsWith("OFFSET ?")) seen.steps += Number(args.at(-1));
    return result;
  };
  return { seen, client: { execute } as unknown as Client };
}

describe("counts of a key's records", { timeout: 60_000 }, () => {
  it("are exact, whatever came, went and was asked before", async () => {
    await onFile(async (client) => {
      const counts = new KeyCounts(client, "messages", 3);
      const ask = async (key: string, from: number) => {
        const { rows: [row] } = await client.execute("SELECT coalesce(max(offset), -1) + 1 AS end FROM s_messages");
        const end = Number(row!["end"]);
        const { rows: [exact] } = await client.execute({
          sql: "SELECT count(*) AS count FROM s_messages WHERE key = ? AND offset >= ?",
          args: [key, from],
        });
        assert.equal(await counts.count(key, from, end), Number(exact!["count"]), `${key} from ${from}`);
      };
      let seed = 7;
      const below = (bound: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % bound;
      for (let step = 0; step < 400; step++) {
        const key = `k${below(3)}`;
        const { rows: [row] } = await client.execute(
          "SELECT coalesce(min(offset), 0) AS low, coalesce(max(offset), 0) + 2 AS high FROM s_messages",
        );
        const [low, high] = [Number(row!["low"]), Number(row!["high"])];
        const what = below(10);
        if (what < 3) await append(client, key, below(9));
        // As retention does: the oldest go.
        else if (what === 3) {
          await client.execute({ sql: "DELETE FROM s_messages WHERE offset < ?", args: [low + below(8)] });
        } else await ask(key, below(3) === 0 ? below(high) : low + below(high - low));
      }
    });
  });

  it("step over the records once, and then over as few as there are between two milestones", async () => {
    await onFile(async (client) => {
      await append(client, "k", 10_000);
      const { seen, client: counted } = stepping(client);
      const counts = new KeyCounts(counted, "messages", 100);
      const stepsOf = async (from: number, end: number) => {
        seen.steps = 0;
        assert.equal(await counts.count("k", from, end), end - from);
        return seen.steps;
      };
      assert.ok(await stepsOf(5, 10_001) <= 10_200);
      for (const from of [5, 17, 4_321, 9_990]) assert.ok(await stepsOf(from, 10_001) <= 300, `from ${from}`);
      await append(client, "k", 250);
      assert.ok(await stepsOf(1_000, 10_251) <= 600);
      assert.ok(await stepsOf(1_000, 10_251) <= 300);
    });
  });

  it("of one key that are asked for at once find its milestones once", async () => {
    await onFile(async (client) => {
      await append(client, "k", 10_000);
      const { seen, client: counted } = stepping(client);
      const counts = new KeyCounts(counted, "messages", 100);
      const froms = Array.from({ length: 20 }, (_, n) => n * 400 + 1);
      const found = await Promise.all(froms.map((from) => counts.count("k", from, 10_001)));
      assert.deepEqual(found, froms.map((from) => 10_001 - from));
      assert.ok(seen.steps <= 10_200 + 20 * 300, `${seen.steps}`);
    });
  });
});
