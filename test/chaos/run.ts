// Runs many trials, with a fresh hub after every few of them.

import { startKafka } from "../support/kafka/kafka.ts";
import { statusOf } from "../support/hub/hub-client.ts";
import type { TrialLine } from "./report.ts";
import { runtimeOf } from "../support/hub/tier-process.ts";
import { openSession, type Session } from "../support/load/session.ts";
import { begin } from "../support/load/wishes.ts";
import { createSoFar, runTrial } from "./trial.ts";

export interface ChaosOptions {
  readonly trials: number;
  /** The first trial's number. */
  readonly from?: number;
  /** A trial's seed is its number plus this. */
  readonly seed?: number;
  readonly kafka?: boolean;
  /** Default 1. With more there are a spare core, two edges and a spare edge. */
  readonly cores?: number;
  /** How many trials share one hub and its data. */
  readonly fresh?: number;
  readonly commit?: string;
  /** Breaks the cores' checkpoints on purpose: the audit must find a loss. */
  readonly checkpointAhead?: boolean;
  /** Called after each trial; `kept` is the directory where a failed one left its data and books. */
  readonly onTrial?: (line: TrialLine, kept: string | undefined) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

const CHECKPOINT_AHEAD = new URL("checkpoint-ahead.ts", import.meta.url).href;

/** What the tiers run on, as a report says it. */
export function runtimeOfTiers(): string {
  const [core, edge] = [runtimeOf("core"), runtimeOf("edge")];
  return core === edge ? core : `${core}, edges on ${edge}`;
}

/** Runs the trials and resolves to what each found. A failed trial ends its session; the next trial begins on fresh data. */
export async function runChaos(options: ChaosOptions): Promise<TrialLine[]> {
  const { trials, from = 1, seed = 0, fresh = 25, commit = "", cores = 1, checkpointAhead = false, signal } = options;
  if (cores > 1 && options.kafka !== true) throw new Error("The embedded log has one core: several need --kafka");
  if (trials === 0) return [];
  if (checkpointAhead && runtimeOfTiers() !== "node") {
    throw new Error("The checkpoints are broken by a flag of Node only");
  }
  const kafka = options.kafka === true ? await startKafka() : undefined;
  const lines: TrialLine[] = [];
  let session: Session | undefined;
  let soFar = createSoFar();
  try {
    for (let trial = from; trial < from + trials && signal?.aborted !== true; trial += 1) {
      if (session === undefined) {
        session = await openSession({
          brokers: kafka === undefined ? [] : [kafka],
          cores,
          edges: cores === 1 ? 1 : 2,
          spares: cores > 1,
          settings: checkpointAhead ? { NODE_OPTIONS: `--import=${CHECKPOINT_AHEAD}` } : {},
        });
        soFar = createSoFar();
        await begin(session);
      }
      const result = await runTrial(session, trial, seed + trial, soFar);
      const bad = Object.keys(result.breaches).length > 0;
      const last = bad || (trial - from + 1) % fresh === 0 || trial === from + trials - 1;
      const line: TrialLine = {
        ...result,
        log: kafka === undefined ? "embedded" : "kafka",
        runtime: runtimeOfTiers(),
        commit,
        cores,
        at: new Date().toISOString(),
        gaps: last ? await gapsOf(session) : 0,
      };
      let kept: string | undefined;
      if (last) {
        kept = await session.close(bad);
        session = undefined;
      }
      lines.push(line);
      await options.onTrial?.(line, kept);
    }
  } catch (error) {
    // A trial that cannot go on keeps its data, as a failed one does.
    const kept = await session?.close(true);
    session = undefined;
    throw new Error(`A trial could not be ended; its data is in ${kept}`, { cause: error });
  } finally {
    await session?.close(false);
    await kafka?.close();
  }
  return lines;
}

async function gapsOf({ nextHub, book }: Session): Promise<number> {
  let gaps = 0;
  for (const { topic, callback } of book.pairs) gaps += (await statusOf(nextHub(), topic, callback))?.gaps.length ?? 0;
  return gaps;
}
