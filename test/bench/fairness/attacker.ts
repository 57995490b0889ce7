// The attacker of `bench -- fairness`, a process of its own: its parent says by messages what to attack, when to begin and when to stop.
import { type AttackName, ATTACKS } from "./attacks.ts";
import { openSite } from "./site.ts";

export interface Order {
  readonly attack: AttackName;
  readonly hub: string;
  readonly base: string;
  readonly address: string;
}

export interface AttackReport {
  /** Answers of the hub, by status; 0: a connection that it closed. */
  readonly answers: Readonly<Record<string, number>>;
  /** Answers of 429 and 503, and those of them with Retry-After. */
  readonly refused: number;
  readonly told: number;
}

const over = new AbortController();
const answers: Record<string, number> = {};
let [refused, told] = [0, 0];

async function obey(order: Order): Promise<void> {
  const site = await openSite();
  const attack = await ATTACKS[order.attack]({
    ...order,
    site,
    signal: over.signal,
    note: (status, retryAfter) => {
      answers[status] = (answers[status] ?? 0) + 1;
      if (status !== 429 && status !== 503) return;
      refused++;
      if (retryAfter !== undefined) told++;
    },
  });
  process.send?.("ready");
  process.once("message", () => void attack());
}

process.once("message", (order: Order) => void obey(order));
process.on("disconnect", () => process.exit());
process.on("SIGTERM", () => {
  over.abort();
  process.send?.({ answers, refused, told } satisfies AttackReport, () => process.exit());
});
