// A child process of the log's contract: it appends without end, and prints where each acknowledged record is.
// `node test/support/rigs/append-until-killed.ts '<LogRecipe as JSON>'` prints lines of `partition offset key`.
import { writeSync } from "node:fs";
import { type LogRecipe, openLog } from "./log-recipe.ts";

const AT_ONCE = 32;

const log = await openLog(JSON.parse(process.argv[2] ?? "") as LogRecipe);
let count = 0;
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (;;) {
    const key = `killed-${count++}`;
    const { partition, offset } = await log.append("messages", { key, value: Buffer.from(`body of ${key}`) });
    // A synchronous write: what was printed before the SIGKILL arrives.
    writeSync(1, `${partition} ${offset} ${key}\n`);
  }
}));
