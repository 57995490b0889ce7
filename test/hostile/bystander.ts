// Somebody who has nothing to do with it, and must not notice: a subscription whose state stays as it is, and who gets just
// what was published to it.

import assert from "node:assert/strict";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { post, publish } from "../support/hub/hub-client.ts";

const TOPIC = "bystander";

export interface Bystander {
  /** What is wrong; undefined: nothing. Publishes one message to it. */
  harm(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Subscribes. `headers` carry the token of somebody who may all. */
export async function openBystander(hub: OwnHub, headers: Readonly<Record<string, string>>): Promise<Bystander> {
  const callbacks = await openCallbackServer();
  const callback = callbacks.callback();
  /** Its cursor moves on with the log while there is no backlog. */
  const settled = async () => {
    const reply = await call(`${hub.base}/subscriptions?${encodeForm({ topic: TOPIC, callback: callback.url })}`, {
      headers,
    });
    const status = JSON.parse(reply.status === 200 ? reply.text : "{}") as Record<string, unknown>;
    return status["state"] === "active" && JSON.stringify({ ...status, cursor: null });
  };
  const intent = { "hub.mode": "subscribe", "hub.topic": TOPIC, "hub.callback": callback.url, "hub.secret": "its own" };
  const { status, text } = await post(hub, intent, headers);
  assert.equal(status, 202, text);
  await callback.challenged();
  const before = await eventually("the bystander's subscription", settled);
  return {
    async harm() {
      if (callback.deliveries.length > 0) return "the bystander got something";
      const after = await settled();
      if (after !== before) return `the bystander's status is ${after}`;
      await publish(hub, TOPIC, { body: "still there", headers });
      const [delivery] = await callback.delivered(1, 30_000).catch(() => []);
      return delivery?.body.toString() === "still there" ? undefined : "the bystander did not get its message";
    },
    close: () => callbacks.close(),
  };
}
