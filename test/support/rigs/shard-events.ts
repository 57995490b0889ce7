// Events for a shard, and the positions that its batches write.
import assert from "node:assert/strict";
import type { IntentEvent } from "../../../core/state/events.ts";
import { OWNER_KEY, SHARD_KEY, type ShardProgress } from "../../../core/state/records.ts";
import type { ShardRecord } from "../../../core/log/log.ts";
import { operationId, TOPIC, valueOf } from "./core-rig.ts";
import { intent } from "./subscription-events.ts";

/** An intent of now to subscribe, with an id of its own. */
export function intentOf(callback: string, more: Partial<IntentEvent> = {}): IntentEvent {
  return intent("subscribe", { time: Date.now(), callback, leaseMs: 86_400_000, ...more });
}

export function resultOf(intent: string, callback: string) {
  return {
    type: "result" as const,
    id: operationId(),
    time: Date.now(),
    intent,
    topic: TOPIC,
    callback,
    verified: true,
    challengedAt: Date.now(),
  };
}

export function positionIn(batch: readonly ShardRecord[], stream: "topics" | "subscriptions" | "cursors"): number {
  assert.ok(!batch.some(({ key }) => key === OWNER_KEY), "marks are the adapter's");
  const record = batch.find((one) => one.stream === stream && one.key === SHARD_KEY);
  assert.ok(record !== undefined, `${stream} has no position`);
  return valueOf<ShardProgress>(record)!.events;
}

export function positionsIn(batch: readonly ShardRecord[]): ShardProgress {
  return valueOf<ShardProgress>(batch.find(({ stream, key }) => stream === "cursors" && key === SHARD_KEY)!)!;
}
