// Totals over many trials, of one run or several.

import { BREACHES } from "../support/load/audit.ts";
import type { FaultPlan } from "./faults.ts";
import type { TrialResult } from "./trial.ts";

/** A line of the file that collects the trials of several runs. */
export interface TrialLine extends TrialResult {
  readonly log: "embedded" | "kafka";
  /** How many cores shared the shards; lines of early runs leave it out for one core. */
  readonly cores?: number;
  /** What the tiers ran on, `bun`, or `node, edges on bun`; lines of early runs leave it out for Node. */
  readonly runtime?: string;
  /** The hub's commit, with "+" if files differed from it. */
  readonly commit: string;
  readonly at: string;
  /** The gaps that the hub shows of all subscriptions at a session's end; 0 but for the session's last trial. */
  readonly gaps: number;
}

/** The trials that did not keep every promise. */
export function failed(lines: readonly TrialLine[]): TrialLine[] {
  return lines.filter(({ breaches }) => Object.keys(breaches).length > 0);
}

/** The lines that a run prints at its end. */
export function total(lines: readonly TrialLine[]): string[] {
  const sum = (of: (line: TrialLine) => number) => lines.reduce((all, line) => all + of(line), 0);
  const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b);
  const recoveries = sorted(lines.flatMap(({ recoveryMs }) => recoveryMs ?? []));
  // Lines of early runs do not say how long the boot took.
  const afterReady = sorted(
    lines.map(({ recoveryMs, bootMs }) => Math.max(0, (recoveryMs ?? NaN) - bootMs)).filter(Number.isFinite),
  );
  const faults = new Map<string, number>();
  for (const { target, kind } of lines.flatMap(({ fault, more = [] }) => [fault, ...more])) {
    faults.set(`${target} ${kind}`, (faults.get(`${target} ${kind}`) ?? 0) + 1);
  }
  const rows: (readonly [string, string | number])[] = [
    [
      "trials",
      `${new Set(lines.map(({ seed }) => seed)).size} seeds in ${lines.length} trials, ${failed(lines).length} failed`,
    ],
    ["log", [...new Set(lines.map(({ log, cores = 1 }) => cores === 1 ? log : `${log}, ${cores} cores`))].join(", ")],
    ["tiers on", [...new Set(lines.map(({ runtime = "node" }) => runtime))].join(", ")],
    ["commits", [...new Set(lines.map(({ commit }) => commit))].join(", ")],
    [
      "faults",
      [...faults].map(([what, count]) => `${what} ${count}`).toSorted((a, b) => a.localeCompare(b)).join(", "),
    ],
    ["publishes accepted", sum(({ accepted }) => accepted)],
    ["deliveries", sum(({ deliveries }) => deliveries)],
    ...BREACHES.map((breach) => [breach, sum(({ breaches }) => breaches[breach] ?? 0)] as const),
    ["repeated, allowed", sum(({ repeated, breaches }) => repeated - (breaches["forbidden repeat"] ?? 0))],
    ["dead letters", sum(({ deadLetters }) => deadLetters)],
    ["gaps", sum(({ gaps }) => gaps)],
    ["ended by itself", sum(({ ended }) => ended)],
    ["oldest repeat", `delivered ${Math.max(0, ...lines.map((line) => line.oldestRepeatMs))} ms before the fault`],
    ["recovery", `p50 ${quantile(recoveries, 0.5)} ms, max ${recoveries.at(-1) ?? "–"} ms`],
    ["once ready", `p50 ${quantile(afterReady, 0.5)} ms, max ${afterReady.at(-1) ?? "–"} ms`],
    ["harness held up", `${sum(({ heldUp }) => heldUp)} times`],
    ["time", `${(sum(({ tookMs }) => tookMs) / 1_000 / Math.max(1, lines.length)).toFixed(2)} s a trial`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/** One trial in a line. */
export function describe(line: TrialLine): string {
  const { trial, seed, fault, more = [], accepted, deliveries, repeated, recoveryMs, tookMs, ended } = line;
  return [
    `trial ${trial} (seed ${seed})`.padEnd(24),
    [fault, ...more].map(named).join(", ").padEnd(24),
    `${accepted} accepted, ${deliveries} deliveries, ${repeated} repeated, recovery ${
      recoveryMs ?? "–"
    } ms, ${tookMs} ms`,
    ended > 0 ? ` (${ended} ended by themselves)` : "",
  ].join(" ");
}

function named({ target, kind, forMs, which }: FaultPlan): string {
  return `${target}${which === undefined ? "" : `-${which + 1}`} ${kind}${forMs > 0 ? ` ${forMs} ms` : ""}`;
}

function quantile(sorted: readonly number[], q: number): number | string {
  return sorted.length === 0 ? "–" : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}
