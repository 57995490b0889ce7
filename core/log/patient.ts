// The log as a starting core sees it: a question that it cannot answer now is asked again for as long as it takes, so that a process
// which is started while the log is away need not be started again. After the start a caller gets "unavailable".
import { getLogger } from "@logtape/logtape";
import { aborted, pause } from "../../shared/pause.ts";
import { type Log, LogError } from "./log.ts";

export interface PatientLog {
  readonly log: Log;
  /** Ends the patience: the core has started. */
  readonly started: () => void;
}

const PAUSE_MS = 200;
const WARN_EVERY_MS = 10_000;

const logger = getLogger(["tidings", "core", "log"]);

/** The same log, patient until `started`. When `signal` aborts, waiting calls reject with "closed". */
export function bePatient(log: Log, signal: AbortSignal): PatientLog {
  let starting = true;
  let warnedAt = -Infinity;
  const stopped = aborted(signal).then(() => {
    throw new LogError("closed", "The core was told to stop");
  });
  stopped.catch(() => {});
  // A start also waits for followers (the replica's), which never fail: a ping finds out why they bring nothing.
  const pings = setInterval(() => void log.ping().catch(warn), WARN_EVERY_MS);

  function warn(error: Error): void {
    if (!starting || performance.now() < warnedAt + WARN_EVERY_MS) return;
    warnedAt = performance.now();
    logger.warn("The core is starting and waits for the log: {reason}", { reason: error.message });
  }

  async function patiently<T>(ask: () => Promise<T>): Promise<T> {
    while (starting) {
      try {
        return await Promise.race([ask(), stopped]);
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "unavailable") throw error;
        warn(error);
        await pause(PAUSE_MS, signal);
      }
    }
    return await ask();
  }

  return {
    log: {
      ...log,
      start: (...of) => patiently(() => log.start(...of)),
      end: (...of) => patiently(() => log.end(...of)),
      positionAt: (...of) => patiently(() => log.positionAt(...of)),
      read: (...of) => patiently(() => log.read(...of)),
    },
    started() {
      starting = false;
      clearInterval(pings);
    },
  };
}
