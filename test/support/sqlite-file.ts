import { type Client, createClient } from "@libsql/client/sqlite3";

/** Runs with a client of its own for a SQLite file, and closes it. */
export async function inFile<T>(path: string, run: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient({ url: `file:${path}` });
  try {
    return await run(client);
  } finally {
    client.close();
  }
}
