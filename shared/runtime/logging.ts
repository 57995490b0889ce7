// Where log lines go: stderr, one line each, for people on a terminal and as JSON elsewhere.
import { configureSync, type LogLevel } from "@logtape/logtape";
import process from "node:process";
import { formatterFor } from "./log-lines.ts";

/** Configures LogTape for this process; `level` is the least that is written. */
export function configureLogging(level: LogLevel): void {
  const format = formatterFor(process.stderr.isTTY === true);
  configureSync({
    reset: true,
    // Written synchronously, so that the last line before an end is never lost.
    sinks: { stderr: (record) => void process.stderr.write(format(record)) },
    loggers: [
      { category: ["tidings"], lowestLevel: level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["stderr"] },
    ],
  });
}
