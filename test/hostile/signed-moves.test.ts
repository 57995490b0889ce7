import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MOST_ACKS, MOST_REQUESTS, SIGNATURE_KEPT_MS } from "../../core/state/acted-requests.ts";
import type { AckEvent, ReplayEvent, ResumeEvent, SubscriptionEvent } from "../../core/state/events.ts";
import { foldSubscription } from "../../core/state/fold-subscription.ts";
import { isLive, type SubscriptionRecord } from "../../core/state/records.ts";
import { CALLBACK, intent, result, subscriptionOf, TIME, TOPIC } from "../support/rigs/subscription-events.ts";

const END = 1_000;

/** A subscription with the position of its lane, as core/shards/shard-fold.ts folds an event into both. */
interface Folded {
  readonly record: SubscriptionRecord;
  readonly position: number;
}

function folded({ record, position }: Folded, event: SubscriptionEvent, offset: number): Folded {
  const after = foldSubscription(record, event, offset)!;
  if (event.type === "ack") {
    const acts = isLive(record.phase) && (after !== record || event.signed === undefined);
    return { record: after, position: acts ? Math.max(position, event.next) : position };
  }
  if (after === record) return { record, position };
  if (event.type === "resume") return { record: after, position: event.from ?? position };
  return { record: after, position: after.life === record.life ? position : after.start };
}

let made = 0;
const head = (time: number) => ({ id: `e-${made += 1}`, time, topic: TOPIC, callback: CALLBACK });
type Move = AckEvent | ResumeEvent | ReplayEvent;

/** A move as its owner signs it. What is not signed, such as the key of a replay, may be another one in each copy. */
function moveOf(kind: number, to: number, time: number, signature: string): Move {
  const at = Math.floor(time / 1_000);
  if (kind === 0) return { type: "ack", ...head(time), next: to, signed: { id: signature, at } };
  if (kind === 1) {
    return { type: "resume", ...head(time), id: `sig_${signature}`, from: to, keptMs: SIGNATURE_KEPT_MS };
  }
  const range = { from: 0, end: END, keptMs: 86_400_000 };
  return { type: "replay", ...head(time), id: `key-${made}.x`, ...range, signed: { id: signature, at } };
}
const copyOf = (move: Move, time: number): Move =>
  move.type === "resume" ? { ...move, time } : { ...move, time, id: `copy-${made += 1}.x` };

const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("sign" as const), kind: fc.nat(2), to: fc.nat(END) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("copy" as const), which: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("begin anew" as const), kind: fc.nat(2), to: fc.nat(END) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), to: fc.nat(200), kind: fc.nat(2) }) },
);

describe("A3.8 what is signed acts once", () => {
  it("a captured request changes nothing, whatever was done since, and whatever stands beside its signature", () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 120 }), (steps) => {
        const signed: Move[] = [];
        let now = TIME;
        let offset = 10;
        let state: Folded = { record: subscriptionOf({ version: 1, phase: "active" }), position: 0 };
        const fold = (event: SubscriptionEvent) => void (state = folded(state, event, offset += 1));
        for (const step of steps) {
          now += 100;
          if (step.do === "sign") {
            const move = moveOf(step.kind, step.to, now, `s-${signed.length}`);
            signed.push(move);
            fold(move);
          } else if (step.do === "wait") now += step.to * 1_000;
          else if (step.do === "begin anew") {
            const bye = intent("unsubscribe", { time: now, end: END });
            const again = intent("subscribe", { time: now, end: END, start: step.to });
            for (const event of [bye, result(bye), again, result(again)]) fold({ ...event, time: now });
          } else {
            const captured = signed[step.which % Math.max(1, signed.length)];
            // Later its timestamp is refused before it gets here.
            if (captured === undefined || now - captured.time > 2 * 300_000) continue;
            const before = state;
            fold(copyOf(captured, now));
            assert.equal(state.position, before.position, captured.type);
            assert.deepEqual(state.record.replays, before.record.replays);
            assert.deepEqual(state.record.requests, before.record.requests, "no copy takes room in the owner's memory");
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("also of an ack that was forgotten among many, once the position went back", () => {
    const live: Folded = { record: subscriptionOf(), position: 0 };
    const acks = Array.from({ length: 3 * MOST_ACKS }, (_, n) => moveOf(0, n, TIME + n * 1_000, `a-${n}`));
    const all = [...acks, moveOf(1, 5, TIME + 300_000, "back")];
    const after = all.reduce((state, event, index) => folded(state, event, 10 + index), live);
    assert.deepEqual([after.position, after.record.acks?.seen.length], [5, MOST_ACKS]);
    for (const [index, ack] of acks.entries()) {
      assert.equal(folded(after, copyOf(ack, TIME + 300_100), 1_000).position, 5, `ack ${index}`);
    }
    assert.equal(folded(after, moveOf(0, 9, TIME + 300_000, "new"), 1_000).position, 9, "one that is signed anew acts");
  });

  it("the memory is bounded, and what does not fit does not act", () => {
    const moves = Array.from({ length: 3 * MOST_REQUESTS }, (_, n) => moveOf(1 + n % 2, n, TIME, `m-${n}`));
    const start: Folded = { record: subscriptionOf(), position: 0 };
    const full = moves.reduce((state, event, index) => folded(state, event, 10 + index), start);
    assert.equal(full.record.requests?.length, MOST_REQUESTS);
    for (const move of moves) assert.deepEqual(folded(full, copyOf(move, TIME), 9_000), full);
  });
});
