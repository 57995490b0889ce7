// The life of one tier's process, the same for edge and core: settings, logs, metrics, start, ready, stop.
import { getLogger } from "@logtape/logtape";
import type { Metrics } from "../metrics.ts";
import { parseSettings, type Settings, SettingsError } from "../settings/settings.ts";
import { configureLogging } from "./logging.ts";
import { createMetrics } from "./metrics.ts";
import { consequences } from "./capabilities.ts";
import {
  announceReady,
  capabilities,
  complain,
  environment,
  exit,
  onFatal,
  onStop,
  type ReadyTier,
} from "./process.ts";

/** How long a tier may take to stop, ms; then the process ends with 1 all the same. */
const STOP_DEADLINE_MS = 15_000;

export interface TierContext {
  readonly settings: Settings;
  readonly metrics: Metrics;
  /** Aborted when the process was asked to stop, also while it is still starting. */
  readonly signal: AbortSignal;
  /** Logs an error that the process must not survive (a writer in an unknown state, a broken client) and ends it with 1. */
  readonly fail: (error: unknown) => never;
}

/** Where it answers is announced to the launcher. */
export interface RunningTier extends ReadyTier {
  /** Stops gracefully: no new work, finish what is in flight, checkpoint. Called once. */
  readonly stop: () => Promise<void>;
}

/**
 * Runs a tier until it is stopped, and ends the process: 0 after a stop, 1 otherwise. The `message` of an error of `start` goes
 * to stderr as one sentence, so it must say what was attempted and what was true.
 */
export async function runTier(
  tier: "edge" | "core",
  start: (context: TierContext) => Promise<RunningTier>,
): Promise<never> {
  const name = `tidings ${tier}`;
  let settings: Settings;
  try {
    settings = parseSettings(environment);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    complain(`${name}: ${error.message}`);
    exit(1);
  }
  configureLogging(settings.logLevel);
  const logger = getLogger(["tidings", tier, "process"]);
  onFatal((error, origin) => logger.fatal("Ending after an {origin}: {error}", { origin, error }));
  const can = capabilities();
  logger.info("Running on {runtime} {version}: {consequences}", {
    ...can,
    runtime: can.name,
    consequences: consequences(can).join("; ") || "it lacks nothing",
  });
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    onStop((reason) => {
      logger.info("Stopping: {reason}", { reason });
      stopping.abort(new Error(`${name} is stopping: ${reason}`));
      setTimeout(() => {
        logger.error("Did not stop within {seconds} s, ending", { seconds: STOP_DEADLINE_MS / 1000 });
        exit(1);
      }, STOP_DEADLINE_MS).unref();
      resolve();
    });
  });
  const fail = (error: unknown): never => {
    logger.fatal("Ending: {error}", { error });
    exit(1);
  };

  let running: RunningTier;
  try {
    running = await start({ settings, metrics: createMetrics({ tier }), signal: stopping.signal, fail });
  } catch (error) {
    if (stopping.signal.aborted) exit(0);
    complain(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    logger.debug("The start failed: {error}", { error });
    exit(1);
  }
  announceReady(name, running);
  logger.info("Ready at {url}", { url: running.url });
  await stopped;
  try {
    await running.stop();
  } catch (error) {
    fail(error);
  }
  logger.info("Stopped");
  exit(0);
}
