// A subscriber that an attack must not touch: its subscription stays as it is, and it gets exactly what was published to it.

import assert from "node:assert/strict";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { post, publish } from "../support/hub/hub-client.ts";

const TOPIC = "bystander";

export interface Bystander {
  /** Publishes one message to it, and resolves to what is wrong; undefined if nothing is. */
  harm(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Subscribes. `headers` carry a token with all rights. */
export async function openBystander(hub: OwnHub, headers: Readonly<Record<string, string>>): Promise<Bystander> {
  const callbacks = await openCallbackServer();
  const callback = callbacks.callback();
  /** Its status without the cursor, which moves with the log while there is no backlog. */
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
