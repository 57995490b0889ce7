// A message's latency through a hub without other load.
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS, type Rig } from "./rig.ts";
import type { SinkStats } from "./sink.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

const TOPIC = "https://bench.test/unloaded";
const RATE = 20;
const MESSAGES = 200;

export const unloaded: Bench = {
  name: "unloaded",
  async run(rig) {
    await subscribeAll(rig.hub, rig.sink, TOPIC, 1);
    await trickle(rig, TOPIC, RATE);
    const { p50, p99, max } = await rig.profiler.during("unloaded", () => trickle(rig, TOPIC, MESSAGES));
    table([`unloaded: 1 subscription, ${RATE} messages/s`, "p50 ms", "p99 ms", "max ms"]);
    row(`${MESSAGES} messages`, p50, p99, max);
  },
};

/** Publishes one message at a time to a topic with one subscription, and waits for all of them. */
export async function trickle(
  { hub, sink }: Pick<Rig, "hub" | "sink">,
  topic: string,
  messages: number,
): Promise<SinkStats> {
  const { url, token } = hub;
  await sink.reset();
  await publish({ hub: url, token, topic, messages, rate: RATE, connections: PUBLISH_CONNECTIONS });
  return await sink.received(messages);
}
