// A log as a core sees it that starts: what it cannot answer now is asked again for as long as it takes, so that a process which
// was started while the log was away needs nobody to start it once more. Afterwards whoever asks must live with "unavailable".
import { getLogger } from "@logtape/logtape";
import { aborted, pause } from "../../shared/pause.ts";
import { type Log, LogError } from "./log.ts";

export interface PatientLog {
  readonly log: Log;
  /** The core has started. */
  readonly started: () => void;
}

const PAUSE_MS = 200;
const SAY_EVERY_MS = 10_000;

const logger = getLogger(["tidings", "core", "log"]);

/** The same log, patient until `started`; once `signal` aborts, what is waited for rejects with "closed". */
export function bePatient(log: Log, signal: AbortSignal): PatientLog {
  let starting = true;
  let saidAt = -Infinity;
  const over = aborted(signal).then(() => {
    throw new LogError("closed", "The core is to stop");
  });
  over.catch(() => {});
  // Not all that a start waits for asks: a replica follows.
  const looking = setInterval(() => void log.ping().catch(say), SAY_EVERY_MS);

  function say(error: Error): void {
    if (!starting || performance.now() < saidAt + SAY_EVERY_MS) return;
    saidAt = performance.now();
    logger.warn("The core starts, and waits for the log: {reason}", { reason: error.message });
  }

  async function patiently<T>(ask: () => Promise<T>): Promise<T> {
    while (starting) {
      try {
        return await Promise.race([ask(), over]);
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "unavailable") throw error;
        say(error);
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
      clearInterval(looking);
    },
  };
}
