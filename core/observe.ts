// The core's own figures for /metrics (WIRE §8), counted where they happen and read at each scrape.
import type { Metrics } from "../shared/metrics.ts";
import type { Engine } from "./engine.ts";
import type { Ownership } from "./shards/ownership.ts";
import type { Lane } from "./delivery/lane/lane.ts";
import type { AppendStream, Log } from "./log/log.ts";
import type { Secrets } from "./keys/secrets.ts";
import type { Missed } from "./missed/missed.ts";
import { nextTurn, TURN_MS } from "../shared/turn.ts";

const LOOKED_AT_ONCE = 256;

export function observe(
  metrics: Metrics,
  engine: Engine,
  missed: Pick<Missed, "open">,
  secrets: Pick<Secrets, "counts">,
): void {
  const { delivery, ownership } = engine;
  metrics.totals("tidings_secrets_total", "Secrets of subscriptions by what was done with them", ["what"], () => [
    [{ what: "opened" }, secrets.counts.opened],
    [{ what: "unopened" }, secrets.counts.unopened],
    [{ what: "resealed" }, secrets.counts.resealed],
  ]);
  const { counts } = delivery;
  observeGroup(metrics, engine);
  metrics.totals("tidings_deliveries_total", "Attempts by outcome", ["outcome"], () => [
    [{ outcome: "delivered" }, counts.delivered],
    [{ outcome: "retried" }, counts.retried],
    [{ outcome: "gone" }, counts.gone],
    [{ outcome: "dead_lettered" }, counts.deadLettered],
    [{ outcome: "replayed" }, counts.replayed],
  ]);
  metrics.totals(
    "tidings_delivery_delay_seconds_total",
    "Seconds from append to 2xx, summed over deliveries",
    [],
    () => [[{}, counts.delaySum]],
  );
  metrics.gauge("tidings_streams", "Streams of missed messages open", [], (gauge) => gauge.set(missed.open));
  metrics.gauge(
    "tidings_attempts_in_flight",
    "Attempts under way, by the standing of their lanes; overtime: those of proven or new lanes that take long",
    ["standing"],
    (gauge) => {
      for (const [standing, count] of delivery.inFlightBy) gauge.set(count, { standing });
    },
  );
  metrics.gauge(
    "tidings_lane_memory_bytes",
    "Bytes of messages that lanes hold",
    [],
    (gauge) => gauge.set(delivery.heldBytes),
  );
  metrics.gauge("tidings_lanes", "Lanes by state", ["state"], async (gauge) => {
    const states = new Map<string, number>();
    for (const state of ["idle", "inFlight", "catchingUp", "backingOff", "parked"]) states.set(state, 0);
    await eachLane(ownership, (lane) => void states.set(lane.state, (states.get(lane.state) ?? 0) + 1));
    for (const [state, count] of states) gauge.set(count, { state });
  });
  metrics.gauge(
    "tidings_lag_records",
    "Records of the log between the position furthest behind and the tail",
    [],
    async (gauge) => {
      let lag = 0;
      await eachLane(ownership, (lane) => {
        const tail = delivery.tail.next(lane.partition);
        lag = Math.max(lag, tail - lane.position(tail));
      });
      gauge.set(lag);
    },
  );
  metrics.gauge(
    "tidings_subscriptions",
    "Subscriptions of every phase, and pairs that wait for verification",
    [],
    (gauge) => gauge.set(ownership.shards.reduce((sum, shard) => sum + shard.subscriptions, 0)),
  );
  metrics.totals(
    "tidings_events_set_aside_total",
    "Events that could not be applied",
    [],
    () => [[{}, ownership.shards.reduce((sum, shard) => sum + shard.setAside, 0)]],
  );
}

/** Looks at a million lanes in turns: deliveries and heartbeats go on in between (ARCHITECTURE §4). */
async function eachLane(ownership: Ownership, look: (lane: Lane) => void): Promise<void> {
  let turn = performance.now();
  let looked = 0;
  for (const shard of ownership.shards) {
    for (const lane of shard.book.lanes()) {
      look(lane);
      if (++looked % LOOKED_AT_ONCE !== 0 || performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      turn = performance.now();
    }
  }
}

/** How this process shares the shards with others (ARCHITECTURE §3). */
function observeGroup(metrics: Metrics, { ownership, consolidator }: Engine): void {
  metrics.gauge("tidings_shards", "Shards whose lanes run here", [], (gauge) => {
    gauge.set(ownership.shards.filter(({ isRunning }) => isRunning).length);
  });
  metrics.totals("tidings_rebalances_total", "Assignments of shards to this process", [], () => [
    [{}, consolidator.counts.rebalances],
  ]);
  metrics.totals("tidings_shards_taken_total", "Shards taken", [], () => [[{}, consolidator.counts.taken]]);
  metrics.totals("tidings_shards_fenced_total", "Shards lost to another process before they were released", [], () => [
    [{}, consolidator.counts.fenced],
  ]);
  metrics.gauge(
    "tidings_session_age_seconds",
    "How long ago the heartbeat was sent that confirmed this process's shards last; above 8 it sends nothing",
    [],
    (gauge) => {
      const { confirmedAgoMs } = ownership;
      gauge.set(confirmedAgoMs === undefined || confirmedAgoMs === Infinity ? 0 : confirmedAgoMs / 1_000);
    },
  );
}

/** The same log; `tidings_appends_total` counts its appends by stream and by whether they became durable. */
export function countAppends(log: Log, metrics: Metrics): Log {
  const counts = new Map<string, { readonly stream: AppendStream; readonly result: string; total: number }>();
  for (const stream of ["messages", "events"] as const) {
    for (const result of ["durable", "refused"]) counts.set(`${stream} ${result}`, { stream, result, total: 0 });
  }
  metrics.totals(
    "tidings_appends_total",
    "Records appended, by stream and whether they became durable",
    ["stream", "result"],
    () => [...counts.values()].map(({ stream, result, total }) => [{ stream, result }, total] as const),
  );
  const count = (stream: AppendStream, result: string) => counts.get(`${stream} ${result}`)!.total++;
  return {
    ...log,
    async append(stream, record, partition) {
      try {
        const at = await log.append(stream, record, partition);
        count(stream, "durable");
        return at;
      } catch (error) {
        count(stream, "refused");
        throw error;
      }
    },
  };
}
