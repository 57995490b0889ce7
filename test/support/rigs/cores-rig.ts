// Three cores, two edges, and enough subscribers for every core to have some: for the scenarios of processes that come and go.
import assert from "node:assert/strict";
import { type Callback, type CallbackServer, openCallbackServer } from "../servers/callback-server.ts";
import { eventually } from "../eventually.ts";
import { post, subscribed } from "../hub/hub-client.ts";
import type { HubUnderTest } from "../hub/hub.ts";
import type { KafkaForTests } from "../kafka/kafka.ts";
import { type CoreProcess, type ManyCores, openManyCores, SHARDS } from "../hub/many-cores.ts";
import { openStallingProxy, type StallingProxy } from "../kafka/stalling-proxy.ts";

export interface CoresRig extends AsyncDisposable {
  readonly hub: ManyCores;
  readonly callbacks: CallbackServer;
  /** Stands between the third core and the broker, where there is a door for it. */
  readonly proxy: StallingProxy | undefined;
  /** `one` asks the first core first, `other` the second. */
  readonly one: HubUnderTest;
  readonly other: HubUnderTest;
  /** A registered topic. */
  readonly newTopic: () => Promise<string>;
  /** Subscribes callbacks to a topic, in so many shards that every core has some. */
  readonly subscribeMany: (topic: string) => Promise<Callback[]>;
  /** Resolves when all cores but one have all shards. */
  readonly othersHaveAll: (gone: CoreProcess) => Promise<void>;
}

/** Room for a session, a heartbeat, a moment for the last owner, and a loaded machine. */
const TAKEN_OVER_WITHIN_MS = 60_000;
const CALLBACKS = 12;

export async function openCoresRig(
  kafka: KafkaForTests,
  options: { readonly behindProxy?: boolean } = {},
): Promise<CoresRig> {
  const door = options.behindProxy === true ? kafka.door("scenario") : undefined;
  const proxy = door === undefined ? undefined : await openStallingProxy(door);
  const callbacks = await openCallbackServer();
  const hub = await openManyCores({
    brokers: kafka.brokers,
    prefix: kafka.newPrefix(),
    cores: [{}, {}, door === undefined ? {} : { TIDINGS_KAFKA_BROKERS: `127.0.0.1:${door.listen}` }],
    edges: [[0, 1, 2], [1, 0, 2]],
    settings: {
      TIDINGS_TOPIC_REGISTRATION: "required",
      TIDINGS_DEAD_LETTER_ATTEMPTS: "2",
      TIDINGS_PARK_AFTER: "10m",
    },
  });
  const [one, other] = [hub.edges[0]!, hub.edges[1]!];
  let topics = 0;
  await hub.shared();
  return {
    hub,
    callbacks,
    proxy,
    one,
    other,
    async newTopic() {
      const topic = `cores/topic ${++topics}`;
      const reply = await post(one, { "hub.mode": "register", "hub.topic": topic });
      assert.equal(reply.status, 200, reply.text);
      return topic;
    },
    async subscribeMany(topic) {
      const all = Array.from({ length: CALLBACKS }, () => callbacks.callback());
      await Promise.all(all.map((callback, index) => subscribed(index % 2 === 0 ? one : other, topic, callback)));
      return all;
    },
    async othersHaveAll(gone) {
      await eventually("the others to have all shards", async () => {
        const counts = await Promise.all(hub.cores.filter((core) => core !== gone).map((core) => core.shards()));
        return counts.reduce((sum, count) => sum + count, 0) === SHARDS;
      }, { deadlineMs: TAKEN_OVER_WITHIN_MS, everyMs: 50 });
    },
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await proxy?.[Symbol.asyncDispose]();
      await callbacks.close();
    },
  };
}

/** The bodies that came, with any answer. */
export const came = (callback: Callback) => callback.deliveries.map(({ body }) => body.toString());
/** The bodies that were answered with 2xx. */
export const taken = (callback: Callback) =>
  callback.deliveries.filter(({ status }) => status === 204).map(({ body }) => body.toString());

/** Resolves when every callback has taken so many. */
export async function allTook(all: readonly Callback[], count: number): Promise<void> {
  for (const callback of all) {
    await eventually(`${count} deliveries`, () => taken(callback).length >= count, {
      deadlineMs: TAKEN_OVER_WITHIN_MS,
      seen: () => came(callback).slice(-20).join(),
    });
  }
}

/** Each body once and in order. */
export function assertOnce(all: readonly Callback[], bodies: readonly string[]): void {
  for (const callback of all) assert.deepEqual(taken(callback), bodies);
}
