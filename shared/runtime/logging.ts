// Where log lines go: stderr, one line each, for people on a terminal and as JSON elsewhere.
import { configureSync, getAnsiColorFormatter, getJsonLinesFormatter, type LogLevel } from "@logtape/logtape";
import process from "node:process";

/** Configures LogTape for this process; `level` is the least that is written. */
export function configureLogging(level: LogLevel): void {
  const format = process.stderr.isTTY === true
    ? getAnsiColorFormatter({ timestamp: "time", value: "bare" })
    : getJsonLinesFormatter({ categorySeparator: ".", message: "rendered", properties: "flatten" });
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
