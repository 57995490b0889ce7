// Where a Worker's log lines go: its console, one line of JSON each, which `wrangler tail` and Workers Logs show.
import { configureSync, type LogLevel } from "@logtape/logtape";
import { formatterFor } from "../log-lines.ts";

/** Configures LogTape for this isolate; `level` is the least that is written. */
export function configureConsole(level: LogLevel): void {
  const format = formatterFor(false);
  configureSync({
    reset: true,
    sinks: { console: (record) => console.log(format(record).trimEnd()) },
    loggers: [
      { category: ["tidings"], lowestLevel: level, sinks: ["console"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["console"] },
    ],
  });
}
