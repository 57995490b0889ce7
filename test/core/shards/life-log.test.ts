import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { LifeLines } from "../../../core/shards/life-lines.ts";
import { LifeLog, MOST_LINES_A_SECOND } from "../../../core/shards/life-log.ts";
import type { SubscriptionEvent } from "../../../core/state/events.ts";
import { foldSubscription } from "../../../core/state/fold-subscription.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { formatterFor } from "../../../shared/runtime/log-lines.ts";
import { CALLBACK, intent, result, subscriptionOf, TOPIC } from "../../support/rigs/subscription-events.ts";

describe("the lines about subscriptions", () => {
  const records: LogRecord[] = [];
  before(() =>
    configureSync({
      reset: true,
      sinks: { here: (record) => void records.push(record) },
      loggers: [
        { category: ["tidings", "core", "subscriptions"], lowestLevel: "info", sinks: ["here"] },
        { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
      ],
    })
  );
  after(() => resetSync());

  function rig() {
    records.length = 0;
    const clock = { now: 0 };
    const log = new LifeLog(() => clock.now);
    return {
      clock,
      log,
      lines: new LifeLines(log),
      events: () => records.map(({ properties }) => properties["event"]),
    };
  }

  it("follow the fold, and are written with the batch, once", () => {
    const { lines, events } = rig();
    let record: SubscriptionRecord | undefined;
    let offset = 0;
    const fold = (event: SubscriptionEvent) => {
      const after = foldSubscription(record, event, offset++);
      if (after !== record && after !== undefined) lines.changed(record, after, event);
      record = after;
    };
    const [first, denied, second, bye] = [
      intent("subscribe", { secret: "sealed", verifyToken: "token" }),
      intent("subscribe", { denied: "not registered" }),
      intent("subscribe"),
      intent("unsubscribe"),
    ];
    fold(denied);
    fold(first);
    fold(result(first));
    fold(result(first));
    fold(second);
    fold(result(second, false, { outcome: "failed", reason: "connection refused" }));
    fold(bye);
    fold(result(bye));
    lines.committed();
    assert.deepEqual(events(), [], "nothing before the batch is composed and written");
    lines.composed();
    lines.committed();
    lines.committed();
    assert.deepEqual(events(), ["denied", "verified", "unverified", "unsubscribed"]);
    const unverified = records[2]!.properties;
    assert.deepEqual([unverified["reason"], unverified["stands"], unverified["topic"]], [
      "connection refused",
      true,
      TOPIC,
    ]);
    assert.doesNotMatch(JSON.stringify(records), /sealed|"token"/);
  });

  it("of one kind are at most 100 a second, then one says how many more", () => {
    const { clock, log, events } = rig();
    const expired = { event: "expired", topic: TOPIC, callback: CALLBACK, leaseExpiresAt: "" } as const;
    for (let n = 0; n < 10_000; n++) log.say(expired);
    log.say({ event: "gone", topic: TOPIC, callback: CALLBACK });
    assert.equal(records.length, MOST_LINES_A_SECOND + 1);
    clock.now = 1_000;
    log.tick();
    log.tick();
    assert.deepEqual(records.at(-1)!.properties, { more: 9_900, event: "expired" });
    log.say(expired);
    assert.equal(events().filter((event) => event === "expired").length, MOST_LINES_A_SECOND + 2);
  });

  it("about a lane that goes on say since when it had failed, or that a resume was asked for", () => {
    const { lines } = rig();
    const said = [0, 86_400_000].map((failingSince) => {
      lines.recovered(subscriptionOf(), failingSince);
      lines.composed();
      lines.committed();
      return (JSON.parse(formatterFor(false)(records.at(-1)!)) as { message: string }).message;
    });
    assert.deepEqual(said, [
      `"${CALLBACK}" takes deliveries of "${TOPIC}" again, after a resume`,
      `"${CALLBACK}" takes deliveries of "${TOPIC}" again; it had failed since "1970-01-02T00:00:00.000Z"`,
    ]);
  });

  it("cannot be forged by a topic or a callback, and have both in full", () => {
    const { log } = rig();
    const topic = `a"\n{"level":"FATAL"}\u2028${"x".repeat(2_000)}`;
    log.say({ event: "gone", topic, callback: CALLBACK });
    const line = formatterFor(false)(records[0]!);
    assert.match(line, /^[^\n\u2028]*\n$/);
    const parsed = JSON.parse(line) as { topic: string; callback: string };
    assert.deepEqual([parsed.topic, parsed.callback], [topic, CALLBACK]);
  });

  it("are not made where nobody reads them", () => {
    resetSync();
    const { lines } = rig();
    const record = subscriptionOf();
    const unread = new Proxy(record, { get: () => assert.fail("it was looked at") });
    lines.changed(unread, unread);
  });
});
