// The hub's highest throughput, beside the ceiling of the same run (ceiling.ts).
import { ceiling, publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row } from "./table.ts";

/** The hub's attempts in flight of one requester to one host (core/delivery/sending/places.ts); the ceiling uses as many connections. */
const CONNECTIONS_TO_ORIGIN = 256;

export const THROUGHPUT_COLUMNS = [
  "messages × subscriptions",
  "published/s",
  "delivered/s",
  "p50 ms",
  "p99 ms",
  "CPU s / 10,000",
  "ceiling/s",
  "ratio",
];

/** A row of the table. */
export const FAN_OUTS: readonly Bench[] = [
  fanOut(1000, 1),
  fanOut(1000, 10),
  fanOut(200, 100),
  fanOut(20, 1000),
];

function fanOut(messages: number, subscriptions: number): Bench {
  const name = `${messages}x${subscriptions}`;
  return { name, run: (rig) => run(rig, `https://bench.test/${name}`, messages, subscriptions) };
}

async function run(
  { hub, sink, cpu, profiler, repeated }: Rig,
  topic: string,
  messages: number,
  subscriptions: number,
) {
  await subscribeAll(hub, sink, topic, subscriptions);
  const total = messages * subscriptions;
  const connections = Math.min(subscriptions, CONNECTIONS_TO_ORIGIN);
  const figures = await repeated(async () => {
    const cpuBefore = await cpu();
    const { published, delivered, p50, p99 } = await profiler.during(
      `${messages} × ${subscriptions}`,
      () => saturate({ hub, sink }, topic, messages, subscriptions),
    );
    const used = await cpu() - cpuBefore;
    await sink.reset();
    const bare = await ceiling(sink, total, connections);
    const most = bare.delivered / bare.seconds;
    return [published, delivered, p50, p99, used / total * 10_000, most, delivered / most];
  });
  row(`${messages} × ${subscriptions}`, ...figures);
}

/**
 * Publishes as fast as possible and waits until all subscribers (of a group, or of all) have the last message. Rates are per
 * second; that of deliveries counts from the first publish.
 * @throws {Error} if there are more deliveries than messages × subscriptions
 */
export async function saturate(
  { hub, sink }: Pick<Rig, "hub" | "sink">,
  topic: string,
  messages: number,
  subscriptions: number,
  group?: string,
): Promise<{ published: number; delivered: number; p50: number; p99: number }> {
  const total = messages * subscriptions;
  await sink.reset();
  const { published, seconds, startedAt } = await publish({
    hub: hub.url,
    token: hub.token,
    topic,
    messages,
    connections: PUBLISH_CONNECTIONS,
  });
  const received = await sink.received(total, group);
  if (received.count > total) throw new Error(`${received.count} deliveries instead of ${total}`);
  return {
    published: published / seconds,
    delivered: total / ((received.lastAt - startedAt) / 1000),
    p50: received.p50,
    p99: received.p99,
  };
}
