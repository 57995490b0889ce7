// Subscribes many callbacks of the sink to one topic.
import { eventually } from "../support/eventually.ts";
import type { HubUnderTest } from "../support/hub/hub.ts";
import type { Sink } from "./parts.ts";

/** A hub, and the access token that it wants, if any. */
export type OpenedHub = Pick<HubUnderTest, "url" | "base"> & { readonly token?: string | undefined };

const AT_A_TIME = 16;

/** Subscribes this many callbacks of a sink's group, each with a secret. Waits until all are active, and resolves to their URLs. */
export async function subscribeAll(
  hub: OpenedHub,
  sink: Sink,
  topic: string,
  count: number,
  group = "healthy",
  start = "latest",
): Promise<string[]> {
  const callbacks = Array.from(
    { length: count },
    (_, n) => `http://127.0.0.1:${sink.port}/${group}/${encodeURIComponent(topic)}/${n}`,
  );
  await eachOf(callbacks, async (callback) => {
    const body = new URLSearchParams({
      "hub.mode": "subscribe",
      "hub.topic": topic,
      "hub.callback": callback,
      "hub.start": start,
      "hub.secret": `secret of ${callback.slice(-40)}`,
    });
    const answer = await fetch(hub.url, { method: "POST", body, headers: authorization(hub) });
    if (answer.status !== 202) throw new Error(`Cannot subscribe ${callback}: ${answer.status} ${await answer.text()}`);
    await answer.body?.cancel();
  });
  await eachOf(callbacks, async (callback) => {
    await eventually(`${callback} to be active`, async () => {
      return (await statusOf(hub, topic, callback))?.state === "active";
    }, { deadlineMs: 30_000, everyMs: 50 });
  });
  return callbacks;
}

/** Waits until these callbacks have got all messages. */
export async function caughtUp(hub: OpenedHub, topic: string, callbacks: readonly string[]): Promise<void> {
  await eachOf(callbacks, async (callback) => {
    await eventually(`${callback} to have everything`, async () => {
      return (await statusOf(hub, topic, callback))?.lag === 0;
    }, { deadlineMs: 60_000, everyMs: 200 });
  });
}

interface Status {
  readonly state: string;
  readonly lag: number;
}

async function statusOf(hub: OpenedHub, topic: string, callback: string): Promise<Status | undefined> {
  const answer = await fetch(`${hub.base}/subscriptions?${new URLSearchParams({ topic, callback })}`, {
    headers: authorization(hub),
  });
  const status = await answer.json().catch(() => undefined) as Status | undefined;
  return answer.status === 200 ? status : undefined;
}

function authorization({ token }: OpenedHub): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (const item of rest) await work(item);
  }));
}
