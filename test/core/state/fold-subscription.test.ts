import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { IntentEvent, ReplayEvent, RevokeEvent, SubscriptionEvent } from "../../../core/state/events.ts";
import {
  foldDeregistered,
  foldOwnResult,
  foldReplayed,
  foldSubscription,
} from "../../../core/state/fold-subscription.ts";
import { MOST_PENDING } from "../../../core/state/pending-intents.ts";
import { isLive, type SubscriptionPhase, type SubscriptionRecord } from "../../../core/state/records.ts";
import { CALLBACK, fold, intent, result, TIME, TOPIC } from "../../support/rigs/subscription-events.ts";

let ids = 0;

function revoke(): RevokeEvent {
  return {
    type: "revoke",
    id: `revoke-${++ids}`,
    time: TIME + 200,
    topic: TOPIC,
    callback: CALLBACK,
    reason: "by an operator",
  };
}

/** A subscription in each phase; its next event is at offset 10. */
function inPhase(phase: SubscriptionPhase): SubscriptionRecord {
  const first = intent("subscribe", { secret: "old", end: 3 });
  const never = fold([first, result(first, false)])!;
  if (phase === "pending") return never;
  const active = fold([first, result(first, true)])!;
  switch (phase) {
    case "active":
      return active;
    case "expired":
      return { ...active, phase, endedAt: active.expiresAt };
    case "unsubscribed": {
      const bye = intent("unsubscribe", { end: 7 });
      return fold([bye, result(bye, true, { end: 9 })], active, 2)!;
    }
    case "revoked": {
      const { notice: _, ...rest } = fold([revoke()], active, 2)!;
      return rest;
    }
    case "gone":
      return { ...active, phase, endedAt: TIME };
    case "deregistered":
      return { ...active, phase, endedAt: TIME };
  }
}

const PHASES = ["pending", "active", "expired", "unsubscribed", "gone", "revoked", "deregistered"] as const;

/** What an intent waiting or failing must not touch. */
function standing(record: SubscriptionRecord | undefined) {
  if (record === undefined) return undefined;
  const { pending: _pending, operations: _operations, version: _version, notice: _notice, ...rest } = record;
  return rest;
}

describe("A3.6 a verification that failed", () => {
  const no = { outcome: "refused", reason: "status 404" } as const;
  const client = { issuer: "https://issuer.example", userId: "one" };

  it("is remembered, with whose it was, until a later one is verified", () => {
    const first = intent("subscribe", { secret: "sealed", client });
    const after = fold([first, result(first, false, no)])!;
    assert.deepEqual(after.lastVerification, { at: TIME + 100, ...no, by: { client, secret: "sealed" } });
    const second = intent("subscribe");
    const yes = fold([second, result(second)], after, 2)!;
    assert.deepEqual([yes.phase, yes.lastVerification], ["active", undefined]);
  });

  it("of a live subscription stands beside it, and is nobody else's", () => {
    const first = intent("subscribe", { secret: "sealed", client });
    const renewal = intent("subscribe", { secret: "other" });
    const bye = intent("unsubscribe");
    const live = fold([first, result(first), renewal, result(renewal, false, no)])!;
    assert.deepEqual(live.lastVerification, { at: TIME + 100, ...no });
    assert.deepEqual([live.phase, live.secret], ["active", "sealed"]);
    const stays = fold([bye, result(bye, false, no)], live, 4)!;
    assert.deepEqual(stays.lastVerification?.reason, "unsubscribe: status 404");
  });

  it("of an unsubscribe without a subscription, or of an edge that does not say the outcome, leaves nothing", () => {
    for (const [mode, why] of [["unsubscribe", no], ["subscribe", {}]] as const) {
      const only = intent(mode);
      assert.equal(fold([only, result(only, false, why)])?.lastVerification, undefined);
    }
  });
});

describe("A3.6 the fold of a subscription", () => {
  describe("one event in each phase", () => {
    for (const phase of PHASES) {
      it(`${phase}: an intent waits and changes nothing else`, () => {
        const before = inPhase(phase);
        for (const mode of ["subscribe", "unsubscribe"] as const) {
          const asked = intent(mode, { secret: "new", start: 4 });
          const after = fold([asked], before, 10)!;
          assert.deepEqual(standing(after), standing(before));
          const { type: _, ...kept } = asked;
          assert.deepEqual(after.pending, [{ ...kept, offset: 10 }]);
          assert.equal(after.version, 10);
        }
      });

      it(`§5.1 ${phase}: what does not verify leaves it as it was`, () => {
        const before = inPhase(phase);
        for (const mode of ["subscribe", "unsubscribe"] as const) {
          const asked = intent(mode, { secret: "new" });
          const after = fold([asked, result(asked, false)], before, 10)!;
          assert.deepEqual(standing(after), standing(before));
          assert.deepEqual(after.pending, []);
          assert.equal(after.notice, undefined);
        }
      });

      it(`${phase}: a verified subscribe makes it active under the new secret and lease`, () => {
        const before = inPhase(phase);
        const asked = intent("subscribe", { secret: "new", leaseMs: 5_000, end: 20, concurrency: 7 });
        const after = fold([asked, result(asked, true)], before, 10)!;
        assert.equal(after.phase, "active");
        assert.equal(after.secret, "new");
        assert.equal(after.concurrency, 7);
        assert.equal(after.expiresAt, TIME + 50 + 5_000, "A3.7: the lease counts from the challenge");
        assert.equal(after.verified, 10);
        assert.equal(after.endedAt, undefined);
        // A renewal, also after the lease, is the same life; anything else begins one at its intent's end.
        const renewed = isLive(phase);
        assert.equal(after.life, renewed ? before.life : 10);
        assert.equal(after.start, renewed ? before.start : 20);
      });

      it(`${phase}: a verified unsubscribe ends it if it lives, and is remembered in any case`, () => {
        const before = inPhase(phase);
        const asked = intent("unsubscribe", { end: 30 });
        const after = fold([asked, result(asked, true, { end: 33 })], before, 10)!;
        assert.equal(after.phase, isLive(phase) ? "unsubscribed" : phase);
        assert.equal(after.unsubscribedAt, 33);
        assert.equal(after.verified, 10);
        assert.equal(after.notice, undefined, "WIRE §2: never denied for an unsubscribe");
      });

      it(`§5.2 ${phase}: a refused subscribe is denied, unless the old subscription stands`, () => {
        const before = inPhase(phase);
        const asked = intent("subscribe", { denied: "topic is not registered" });
        const after = fold([asked], before, 10)!;
        assert.deepEqual(standing(after), standing(before));
        assert.deepEqual(after.pending, [], "nothing is verified");
        assert.deepEqual(
          after.notice,
          phase === "active" ? undefined : { topic: TOPIC, callback: CALLBACK, reason: "topic is not registered" },
        );
      });

      it(`${phase}: an operator's revoke ends it with a notice if it lives`, () => {
        const before = inPhase(phase);
        const after = fold([revoke()], before, 10)!;
        if (!isLive(phase)) return assert.deepEqual(standing(after), standing(before));
        assert.equal(after.phase, "revoked");
        assert.equal(after.notice?.reason, "by an operator");
      });

      it(`A3.9 ${phase}: a deregister ends it if it lives, with a notice if it was active, and cancels what waits`, () => {
        const waiting = intent("subscribe");
        const before = fold([waiting], inPhase(phase), 10)!;
        const after = foldDeregistered(before, "topic is gone", TIME + 500, 20);
        assert.deepEqual(after.pending, []);
        assert.equal(after.phase, isLive(phase) ? "deregistered" : phase);
        assert.equal(after.notice?.reason, phase === "active" ? "topic is gone" : undefined);
        assert.equal(foldDeregistered(after, "topic is gone", TIME + 600, 20), after, "once");
        const late = fold([result(waiting, true)], after, 21)!;
        assert.equal(late, after, "the result of an intent that was cancelled counts nothing");
      });
    }

    it("an unknown pair: a result, a revoke and a verified unsubscribe make no subscription", () => {
      assert.equal(fold([result(intent("subscribe"), true)]), undefined);
      assert.equal(fold([revoke()]), undefined);
      const bye = intent("unsubscribe");
      assert.equal(fold([bye, result(bye, true)])!.phase, "pending");
    });
  });

  describe("several intents of one pair", () => {
    it("a verified one cancels the older ones, and an older result counts no more", () => {
      const [one, two] = [intent("subscribe", { secret: "one" }), intent("subscribe", { secret: "two" })];
      const after = fold([one, two, result(two, true), result(one, true)])!;
      assert.equal(after.secret, "two");
      assert.deepEqual(after.pending, []);
    });

    it("a newer one that waits stays when an older one verifies, and counts when it does", () => {
      const [one, two] = [intent("subscribe", { secret: "one" }), intent("unsubscribe")];
      const between = fold([one, two, result(one, true)])!;
      assert.deepEqual(between.pending.map(({ id }) => id), [two.id]);
      assert.equal(between.phase, "active");
      assert.equal(fold([result(two, true)], between, 3)!.phase, "unsubscribed");
    });

    it("an unsubscribe that verifies leaves a newer subscribe waiting, which begins a new life after it", () => {
      const first = intent("subscribe", { end: 1 });
      const [bye, again] = [intent("unsubscribe", { end: 4 }), intent("subscribe", { end: 4 })];
      const after = fold([first, result(first, true), bye, again, result(bye, true, { end: 8 }), result(again, true)])!;
      assert.equal(after.phase, "active");
      assert.equal(after.life, 3);
      // §6.4: the new life does not begin at its own end, 4: messages before the end of the unsubscribe, 8, are not for it.
      assert.equal(after.start, 8);
    });

    it("§6.1 a new life begins where the oldest subscribe that it overtakes does: that one's yes may be on its way (chaos, seed 6)", () => {
      const [one, two] = [intent("subscribe", { end: 4 }), intent("subscribe", { end: 9 })];
      assert.equal(fold([one, two, result(two, true), result(one, true)])!.start, 4);
      assert.equal(
        fold([one, result(one, false), two, result(two, true)])!.start,
        9,
        "one that was not verified is none",
      );
      const asked = intent("subscribe", { end: 9, start: 7 });
      assert.equal(fold([one, asked, result(asked, true)])!.start, 7, "hub.start is obeyed");
    });

    it("§6.4 a new life does not reach back beyond an unsubscribe that it overtakes", () => {
      const [one, bye] = [intent("subscribe", { end: 4 }), intent("unsubscribe", { end: 6 })];
      const [two, three] = [intent("subscribe", { end: 9 }), intent("subscribe", { end: 12 })];
      assert.equal(fold([one, bye, two, three, result(three, true)])!.start, 9);
      assert.equal(fold([one, bye, three, result(bye, true, { end: 8 }), result(three, true)])!.start, 12);
    });

    it("hub.start is obeyed by a new life and ignored by a renewal", () => {
      const first = intent("subscribe", { end: 10, start: 2 });
      const active = fold([first, result(first, true)])!;
      assert.equal(active.start, 2);
      const renewal = intent("subscribe", { end: 20, start: 5 });
      assert.equal(fold([renewal, result(renewal, true)], active, 2)!.start, 2);
      const bye = intent("unsubscribe", { end: 20 });
      const again = intent("subscribe", { end: 25, start: 3 });
      const asked = fold([bye, result(bye, true, { end: 22 }), again, result(again, true)], active, 2)!;
      assert.equal(asked.start, 3, "WIRE §2: even what lies between unsubscribe and subscribe, if it asks for it");
    });

    it("WIRE §2 a renewal replaces hub.signature, or drops it; one that fails does not", () => {
      const [one, two, three] = [intent("subscribe", { signature: "sha1" }), intent("subscribe"), intent("subscribe")];
      const chosen = fold([one, result(one, true)], inPhase("active"), 10)!;
      assert.equal(chosen.signature, "sha1");
      assert.equal(fold([two, result(two, false)], chosen, 20)!.signature, "sha1");
      assert.equal("signature" in fold([three, result(three, true)], chosen, 20)!, false);
    });

    it("§5.1 a renewal without a secret drops it", () => {
      const renewal = intent("subscribe");
      assert.equal("secret" in fold([renewal, result(renewal, true)], inPhase("active"), 10)!, false);
    });

    it("a fifth that waits cancels the oldest", () => {
      const asked = Array.from({ length: 5 }, () => intent("subscribe"));
      const waiting = fold(asked)!;
      assert.deepEqual(waiting.pending.map(({ id }) => id), asked.slice(1).map(({ id }) => id));
      assert.equal(fold([result(asked[0]!, true)], waiting, 5)!.phase, "pending");
    });

    it("the first result closes an intent: a yes after a no changes nothing", () => {
      const asked = intent("subscribe");
      assert.equal(fold([asked, result(asked, false), result(asked, true)])!.phase, "pending");
    });

    it("a subscribe takes back a notice that was still owed", () => {
      const denied = intent("subscribe", { denied: "no" });
      const asked = intent("subscribe");
      const after = fold([denied, asked, result(asked, true)])!;
      assert.equal(after.phase, "active");
      assert.equal(after.notice, undefined, "it would say that there is no subscription");
    });
  });

  it("A3.5 the owner's own result is folded like an edge's and moves no version", () => {
    const asked = intent("subscribe", { secret: "s" });
    const waiting = fold([asked])!;
    const event = result(asked, true);
    const own = foldOwnResult(waiting, event);
    assert.deepEqual({ ...own, version: 1 }, fold([event], waiting, 1));
    assert.equal(own.version, waiting.version);
    assert.equal(foldOwnResult(own, result(asked, false)), own, "closed by the first");
  });

  describe("A3.8 replays", () => {
    const replay = (id: string, from: number, end: number, time = TIME): ReplayEvent => ({
      type: "replay",
      id,
      time,
      topic: TOPIC,
      callback: CALLBACK,
      from,
      end,
      keptMs: 86_400_000,
    });

    it("are owed in the order in which they were asked for, each once for as long as its key is known", () => {
      const asked = [replay("a.1", 0, 5), replay("b.1", 2, 3), replay("a.1", 0, 9), replay("a.2", 4, 5)];
      const owed = fold(asked, inPhase("active"), 10)!;
      assert.deepEqual(owed.replays, [{ from: 0, end: 5 }, { from: 2, end: 3 }]);
      const later = foldSubscription(owed, replay("a.2", 4, 5, TIME + 86_400_001), 20)!;
      assert.equal(later.replays!.length, 3);
    });

    it("act once by their signature, under whatever key, and beside 64 others not at all", () => {
      const by = (id: string, signature: string) => ({
        ...replay(id, 0, 5),
        signed: { id: signature, at: TIME / 1_000 },
      });
      const once = fold([by("a.1", "s"), by("b.1", "s"), by("c.1", "s")], inPhase("active"), 10)!;
      assert.deepEqual([once.replays?.length, once.requests?.length], [1, 1]);
      assert.equal(foldSubscription(once, by("a.1", "t"), 20), once, "the same key, signed anew");
      assert.equal(foldSubscription(once, by("b.1", "t"), 20)?.replays?.length, 2);
      const full = fold(Array.from({ length: 70 }, (_, n) => by(`${n}.1`, `s${n}`)), inPhase("active"), 10)!;
      assert.equal(full.requests?.length, 64);
      assert.equal(foldSubscription(full, by("0.1", "s0"), 100), full, "none was forgotten for a later one");
      assert.equal(foldSubscription(full, by("x.1", "x"), 100), full);
    });

    it("are owed by live subscriptions only, and end with the life", () => {
      for (const phase of ["pending", "unsubscribed", "gone", "revoked", "deregistered"] as const) {
        assert.equal(foldSubscription(inPhase(phase), replay("a", 0, 5), 10)?.replays, undefined, phase);
      }
      const owed = foldSubscription(inPhase("active"), replay("a", 0, 5), 10)!;
      assert.equal(foldSubscription(owed, revoke(), 11)?.replays, undefined);
      assert.equal(foldDeregistered(owed, "over", TIME, 11).replays, undefined);
      const again = intent("subscribe");
      assert.deepEqual(fold([again, result(again, true)], { ...owed, phase: "expired" }, 11)!.replays, owed.replays);
    });

    it("are done letter by letter, and never grow back", () => {
      fc.assert(fc.property(
        fc.array(fc.record({ from: fc.nat(20), end: fc.nat(20) }), { maxLength: 5 }),
        fc.array(fc.option(fc.nat(25), { nil: undefined })),
        (ranges, steps) => {
          const asked = ranges.map(({ from, end }, index) => replay(`key-${index}`, from, end));
          let record = fold(asked, inPhase("active"), 10)!;
          const left = (of: SubscriptionRecord) =>
            (of.replays ?? []).reduce((sum, { from, end }) => sum + Math.max(0, end - from), 0);
          assert.ok((record.replays ?? []).every(({ from, end }) => from < end), "nothing is owed of an empty one");
          for (const before of steps) {
            const after = foldReplayed(record, before);
            assert.ok(left(after) <= left(record));
            assert.notEqual(after.replays?.length, 0);
            record = after;
          }
          for (let n = 0; n < ranges.length; n++) record = foldReplayed(record);
          assert.equal(record.replays, undefined);
        },
      ));
    });
  });

  describe("properties of any sequence", () => {
    it("A3.8 replays and copies change nothing", () => {
      fc.assert(fc.property(sequences(), fc.array(fc.nat()), (steps, noise) => {
        const events = eventsOf(steps);
        const plain = events.reduce<SubscriptionRecord | undefined>(
          (record, event, index) => foldSubscription(record, event, index * 10),
          undefined,
        );
        const noisy = events.reduce<SubscriptionRecord | undefined>((record, event, index) => {
          let after = foldSubscription(record, event, index * 10);
          const back = (noise[index] ?? 0) % 4;
          const earlier = Math.max(0, index - back);
          // The same record again (a replay), and a retry's copy of it further on in the log.
          after = foldSubscription(after, events[earlier]!, earlier * 10);
          return foldSubscription(after, events[earlier]!, index * 10 + 1);
        }, undefined);
        assert.deepEqual(noisy, plain);
      }));
    });

    it("only a verified result newer than the newest verified, or a revoke, changes the subscription", () => {
      fc.assert(fc.property(sequences(), (steps) => {
        let record: SubscriptionRecord | undefined;
        for (const [offset, event] of eventsOf(steps).entries()) {
          const after = foldSubscription(record, event, offset);
          if (record !== undefined && !same(standing(after), standing(record))) {
            if (event.type === "revoke") assert.ok(isLive(record.phase));
            else {
              assert.ok(event.type === "result" && event.verified, event.type);
              const closed = record.pending.find(({ id }) => id === event.intent);
              assert.ok(closed !== undefined && closed.offset > record.verified);
            }
          }
          assert.ok((after?.verified ?? -1) >= (record?.verified ?? -1));
          record = after;
        }
      }));
    });

    it("what stands is what the newest verified intent asked for", () => {
      fc.assert(fc.property(sequences({ revokes: false }), (steps) => {
        const events = eventsOf(steps);
        const record = fold(events);
        if (record === undefined || record.verified < 0) return;
        const newest = events[record.verified] as IntentEvent;
        // `verified` is the offset of an intent.
        assert.equal(newest.type, "intent");
        const subscribes = newest.mode === "subscribe";
        assert.equal(record.phase === "active", subscribes);
        if (!subscribes) return;
        assert.equal(record.secret, newest.secret);
        assert.equal(record.concurrency, newest.concurrency ?? 1);
        assert.ok(record.life <= record.verified);
      }));
    });

    it("at most 4 wait, in log order, each once", () => {
      fc.assert(fc.property(sequences(), (steps) => {
        let record: SubscriptionRecord | undefined;
        for (const [offset, event] of eventsOf(steps).entries()) {
          record = foldSubscription(record, event, offset);
          const offsets = record?.pending.map((pending) => pending.offset) ?? [];
          assert.ok(offsets.length <= MOST_PENDING);
          assert.deepEqual(offsets, [...new Set(offsets)].toSorted((a, b) => a - b));
          assert.ok((record?.operations.length ?? 0) <= 8);
        }
      }));
    });

    it("a fold from scratch equals one from any checkpoint, read back from its JSON", () => {
      fc.assert(fc.property(sequences(), fc.nat(), (steps, cut) => {
        const events = eventsOf(steps);
        const at = cut % (events.length + 1);
        const before = fold(events.slice(0, at));
        const text = JSON.stringify(before);
        const checkpoint = text === undefined ? undefined : JSON.parse(text) as SubscriptionRecord;
        assert.deepEqual(fold(events.slice(at), checkpoint, at), fold(events));
      }));
    });
  });
});

interface Step {
  readonly what: "subscribe" | "unsubscribe" | "yes" | "no" | "revoke";
  /** Which of the intents before it a result names. */
  readonly of: number;
  readonly secret: string | undefined;
  readonly concurrency: number | undefined;
  readonly start: number | undefined;
}

function sequences({ revokes = true } = {}): fc.Arbitrary<Step[]> {
  const what = ["subscribe", "subscribe", "unsubscribe", "yes", "yes", "yes", "no", ...(revokes ? ["revoke"] : [])];
  return fc.array(
    fc.record({
      what: fc.constantFrom(...what as Step["what"][]),
      of: fc.nat(5),
      secret: fc.option(fc.constantFrom("a", "b", "c"), { nil: undefined }),
      concurrency: fc.option(fc.integer({ min: 1, max: 64 }), { nil: undefined }),
      start: fc.option(fc.nat(50), { nil: undefined }),
    }),
    { maxLength: 40 },
  );
}

/** The steps as events, after a first intent; results name one of the six newest intents. */
function eventsOf(steps: readonly Step[]): SubscriptionEvent[] {
  const intents: IntentEvent[] = [intent("subscribe", { end: 1 })];
  return [...intents, ...eventsAfter(intents, steps)];
}

function eventsAfter(intents: IntentEvent[], steps: readonly Step[]): SubscriptionEvent[] {
  return steps.map(({ what, of, secret, concurrency, start }, index) => {
    const time = TIME + index * 1_000;
    if (what === "revoke") return { ...revoke(), time };
    if (what === "subscribe" || what === "unsubscribe") {
      const asked = intent(what, {
        time,
        end: index,
        ...(secret === undefined || what === "unsubscribe" ? {} : { secret }),
        ...(concurrency === undefined ? {} : { concurrency }),
        ...(start === undefined ? {} : { start }),
      });
      intents.push(asked);
      return asked;
    }
    return { ...result(intents.at(-1 - of) ?? intent("subscribe"), what === "yes"), time };
  });
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
