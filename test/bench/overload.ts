// Offers three times as much as the hub can take. Measures how much it accepts, how long that waits, and how cheaply it refuses
// the rest. A subscription from the beginning then shows whether the log has every acknowledged message.
import { offer, publish } from "./parts.ts";
import { type Bench, PUBLISH_CONNECTIONS } from "./rig.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";

const TOPIC = "https://bench.test/overload";
const MESSAGES = 15_000;
const SECONDS = 8;
const TIMES = 3;
/** As of many clients with one request each at a time: none waits for another's answer. */
const CONNECTIONS = 1_500;

export const overload: Bench = {
  name: "overload",
  async run({ hub, sink, repeated, profiler }) {
    let acknowledged = 0;
    const [capacity = 0, p50 = 0, p99 = 0] = await repeated(async () => {
      const report = await publish({
        hub: hub.url,
        topic: TOPIC,
        messages: MESSAGES,
        connections: PUBLISH_CONNECTIONS,
      });
      acknowledged += report.published;
      return [report.published / report.seconds, report.p50, report.p99];
    });
    const rate = Math.round(capacity * TIMES);
    const offered = await profiler.during(
      "overload",
      () => offer({ hub: hub.url, topic: TOPIC, messages: rate * SECONDS, rate, connections: CONNECTIONS }),
    );
    acknowledged += offered.published;
    const accepted = offered.published / offered.seconds;

    table([
      "overload",
      "offered/s",
      "accepted/s",
      "of capacity",
      "p50 ms",
      "p99 ms",
      "503s",
      "p99 ms of a 503",
      "else",
    ]);
    row(`as fast as it goes, ${PUBLISH_CONNECTIONS} connections`, Number.NaN, capacity, 1, p50, p99, 0, Number.NaN, 0);
    row(
      `${TIMES} × that for ${SECONDS} s, ${CONNECTIONS} connections`,
      (offered.published + offered.failed) / offered.seconds,
      accepted,
      accepted / capacity,
      offered.p50,
      offered.p99,
      offered.refused,
      offered.refusedP99,
      offered.failed - offered.refused,
    );

    await sink.reset();
    await subscribeAll(hub, sink, TOPIC, 1, "healthy", "earliest");
    const { count } = await sink.received(acknowledged);
    console.log(
      `\n${acknowledged.toLocaleString("en")} were acknowledged, ${count.toLocaleString("en")} were in the log.`,
    );
  },
};
