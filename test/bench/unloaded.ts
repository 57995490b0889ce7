// A message's latency through a hub without other load.
import { publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

const TOPIC = "https://bench.test/unloaded";
const RATE = 20;
const MESSAGES = 200;

export const unloaded: Bench = {
  name: "unloaded",
  async run({ hub, sink }) {
    await subscribeAll(hub, sink, TOPIC, 1);
    const trickle = async (messages: number) => {
      await sink.reset();
      await publish({ hub: hub.url, topic: TOPIC, messages, rate: RATE, connections: PUBLISH_CONNECTIONS });
      return await sink.received(messages);
    };
    await trickle(RATE);
    const { p50, p99, max } = await trickle(MESSAGES);
    table([`unloaded: 1 subscription, ${RATE} messages/s`, "p50 ms", "p99 ms", "max ms"]);
    row(`${MESSAGES} messages`, p50, p99, max);
  },
};
