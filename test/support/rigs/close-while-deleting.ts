// A child process of the embedded log's tests: it closes a log that is deleting 20,000 old records, and ends.
// `node test/support/rigs/close-while-deleting.ts DIRECTORY`
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { pause } from "../eventually.ts";

const [directory = ""] = process.argv.slice(2);
let time = 1_700_000_000_000;
const log = await openLibsqlLog({
  directory,
  retentionMs: 1_000,
  maxMessageBytes: 1_000,
  onFatal: (error) => {
    throw error;
  },
  clock: () => time,
  sweepMs: 1,
});
const value = Buffer.alloc(10);
await Promise.all(Array.from({ length: 20_000 }, () => log.append("messages", { key: "k", value })));
time += 10_000;
while (await log.start("messages", 0) === 0) await pause(1);
await log.close();
