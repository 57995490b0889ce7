// The table of third-party clients: what each of them did with the hub, from the results of its tests.
import type { Report } from "./junit.ts";

/** A test of a client says in its title who it is and what it does: `Flask-WebSub 0.4: subscribe: a sentence`. */
const TITLE = /(?:^|> )([^:>]+): ([^:>]+): [^>]*$/;
/** The columns that come first. */
const FIRST = ["subscribe", "verify", "deliver", "unsubscribe", "publish"];

/** The outcomes of all tests of one operation of one client. */
type Cell = readonly ("passed" | "failed" | "skipped")[];

/** Lines of a table: clients down, operations across; each cell is the worst outcome of its tests. Empty if no test is a client's. */
export function operationsTable(reports: readonly Report[]): string[] {
  const rows = new Map<string, Map<string, Cell>>();
  const add = (test: string, outcome: Cell[number]) => {
    const [, client, operation] = TITLE.exec(test) ?? [];
    if (client === undefined || operation === undefined) return;
    const row = rows.get(client) ?? new Map<string, Cell>();
    rows.set(client, row.set(operation, [...row.get(operation) ?? [], outcome]));
  };
  for (const { passed, failed, skipped } of reports) {
    for (const name of passed) add(name, "passed");
    for (const name of failed) add(name, "failed");
    for (const { test } of skipped) add(test, "skipped");
  }
  if (rows.size === 0) return [];
  const operations = [...new Set([...FIRST, ...[...rows.values()].flatMap((row) => [...row.keys()])])];
  return aligned([
    ["client", ...operations],
    ...[...rows].toSorted(([a], [b]) => a.localeCompare(b)).map(([client, row]) => [
      client,
      ...operations.map((operation) => worst(row.get(operation))),
    ]),
  ]);
}

function worst(cell: Cell | undefined): string {
  return (["failed", "skipped", "passed"] as const).find((outcome) => cell?.includes(outcome)) ?? "–";
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((text, column) => text.padEnd(widths[column]!)).join("  ").trimEnd());
}
