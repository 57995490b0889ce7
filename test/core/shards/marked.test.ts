import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { IntentEvent } from "../../../core/state/events.ts";
import { foldSubscription } from "../../../core/state/fold-subscription.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import type { ClientIdentity } from "../../../shared/core-api.ts";
import { attempts, createClock, openCoreRig, operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { CALLBACK, fold, intent, result, TIME, TOPIC } from "../../support/rigs/subscription-events.ts";
import { eventually, never } from "../../support/eventually.ts";

const ALICE: ClientIdentity = { issuer: "https://a", userId: "alice" };
const BOB: ClientIdentity = { issuer: "https://a", userId: "bob" };
/** Another issuer's alice is somebody else. */
const NAMESAKE: ClientIdentity = { issuer: "https://b", userId: "alice" };

type Mode = IntentEvent["mode"];
const intentBy = (mode: Mode, client?: ClientIdentity, more: Partial<IntentEvent> = {}) =>
  intent(mode, { end: 7, ...(client === undefined ? {} : { client }), ...more });
const marked = (mode: Mode, client?: ClientIdentity, more: Partial<IntentEvent> = {}) =>
  intentBy(mode, client, { marked: true, ...more });

function active(client?: ClientIdentity): SubscriptionRecord {
  const first = intentBy("subscribe", client, { secret: "old" });
  return fold([first, result(first)])!;
}
const phases: Record<string, (client?: ClientIdentity) => SubscriptionRecord | undefined> = {
  "no pair": () => undefined,
  "a pair that never verified": (client) => fold([intentBy("subscribe", client)]),
  active,
  expired: (client) => ({ ...active(client), phase: "expired", endedAt: TIME }),
  unsubscribed: (client) => {
    const bye = intentBy("unsubscribe", client);
    return fold([bye, result(bye)], active(client), 2);
  },
  gone: (client) => ({ ...active(client), phase: "gone", endedAt: TIME }),
  deregistered: (client) => ({ ...active(client), phase: "deregistered", endedAt: TIME }),
};

describe("A3.6 a subscription remembers its client", () => {
  it("from the intent that verified last, and not from one that waits or failed", () => {
    assert.equal(active().client, undefined);
    const before = active(ALICE);
    assert.deepEqual(before.client, ALICE);
    const [waiting, failed, good] = [
      intentBy("subscribe", BOB),
      intentBy("subscribe", BOB),
      intentBy("subscribe", BOB),
    ];
    assert.deepEqual(fold([waiting, failed, result(failed, false)], before, 10)?.client, ALICE);
    assert.deepEqual(fold([good, result(good)], before, 10)?.client, BOB);
    const anonymous = intentBy("subscribe");
    assert.equal(fold([anonymous, result(anonymous)], before, 10)?.client, undefined);
  });
});

describe("WIRE §2 a mark", () => {
  for (const [phase, make] of Object.entries(phases)) {
    const live = phase === "active" || phase === "expired";
    it(`counts for the same client: ${phase}`, () => {
      for (const client of [undefined, ALICE]) {
        const before = make(client);
        const event = marked("subscribe", client, { secret: "new" });
        const after = fold([event], before, 10)!;
        assert.deepEqual([after.phase, after.secret, after.client], ["active", "new", client]);
        assert.deepEqual([after.verified, after.pending, after.expiresAt], [10, [], TIME + 60_000]);
        // A renewal goes on with its life; a new life begins at its intent.
        assert.deepEqual(
          [after.life, after.start],
          live ? [before!.life, before!.start] : [10, live ? 0 : after.start],
        );
        if (!live) assert.ok(after.start >= event.end);
      }
    });

    const isAnothers = live || phase === "a pair that never verified";
    it(`${isAnothers ? "waits for the challenge" : "counts"} for another client: ${phase}`, () => {
      for (const [one, other] of [[ALICE, BOB], [ALICE, NAMESAKE], [ALICE, undefined], [undefined, ALICE]]) {
        for (const mode of ["subscribe", "unsubscribe"] as const) {
          const before = make(one);
          const after = fold([marked(mode, other, { secret: "new" })], before, 10)!;
          if (isAnothers) {
            const { pending, version: _v, operations: _o, ...rest } = after;
            const { pending: _p, version: _w, operations: _q, ...stood } = before!;
            assert.deepEqual(rest, stood, "nothing of the subscription changes");
            assert.deepEqual(pending.slice(0, -1), before!.pending, "nor is what waits cancelled");
            assert.deepEqual([pending.at(-1)!.marked, pending.at(-1)!.client], [true, other]);
          } else assert.equal(after.pending.length, 0);
        }
      }
    });
  }

  it("counts for who had the name of a record from before claims were recorded, and the renewal records the claim", () => {
    const now: ClientIdentity = { issuer: "https://a", claim: "sub", userId: "7f3e", name: "alice" };
    const renewed = fold([marked("subscribe", now)], active(ALICE), 10)!;
    assert.deepEqual(renewed.client, { issuer: "https://a", claim: "sub", userId: "7f3e" });
    assert.equal(renewed.pending.length, 0);
    for (
      const client of [{ ...now, name: "bob" }, { ...now, claim: "preferred_username", userId: "bob", name: "bob" }]
    ) {
      assert.equal(fold([marked("subscribe", client)], active(ALICE), 10)?.pending.length, 1);
    }
    const spelled = { ...now, claim: "preferred_username", userId: "7f3e" };
    assert.equal(fold([marked("unsubscribe", spelled)], renewed, 20)?.pending.length, 1, "another claim's value");
  });

  it("takes no pair whose first subscribe by another client waits: the first answer decides", () => {
    const [alices, bobs] = [intentBy("subscribe", ALICE, { secret: "alice's" }), marked("subscribe", BOB)];
    const waiting = fold([alices, bobs])!;
    assert.deepEqual([waiting.phase, waiting.pending.length], ["pending", 2]);
    const hers = fold([result(alices)], waiting, 10)!;
    assert.deepEqual([hers.phase, hers.client, hers.secret], ["active", ALICE, "alice's"]);
    const nobodys = fold([result(alices, false)], waiting, 10)!;
    assert.deepEqual(fold([marked("subscribe", BOB)], nobodys, 20)?.client, BOB);
  });

  it("ends the client's own subscription", () => {
    const after = fold([marked("unsubscribe", ALICE)], active(ALICE), 10)!;
    assert.deepEqual([after.phase, after.unsubscribedAt, after.verified], ["unsubscribed", 7, 10]);
  });

  it("that did not count still does what its result says", () => {
    const [yes, no] = [marked("subscribe", BOB, { secret: "bob's" }), marked("subscribe", BOB)];
    const taken = fold([yes, result(yes)], active(ALICE), 10)!;
    assert.deepEqual([taken.client, taken.secret], [BOB, "bob's"]);
    assert.deepEqual(fold([no, result(no, false)], active(ALICE), 10)?.client, ALICE);
  });

  it("cancels what waited before it, whose answers then count for nothing", () => {
    const earlier = intentBy("unsubscribe");
    const after = fold([earlier, marked("subscribe", ALICE), result(earlier)], undefined)!;
    assert.deepEqual([after.phase, after.client], ["active", ALICE]);
  });

  it("does not weaken the others: without it an intent of the same client waits for its answer", () => {
    const after = fold([intentBy("unsubscribe", ALICE)], active(ALICE), 10)!;
    assert.deepEqual([after.phase, after.pending.length], ["active", 1]);
  });

  it("is folded once", () => {
    const event = marked("subscribe", ALICE);
    const once = fold([event])!;
    assert.equal(foldSubscription(once, event, 5), once);
    const after = fold([marked("unsubscribe", ALICE)], once, 6)!;
    assert.equal(foldSubscription(after, event, 7), after, "A3.8: a second copy brings nothing back");
  });

  it("counts for nothing where the topic was refused (§5.2)", () => {
    const after = fold([marked("subscribe", ALICE, { denied: "not registered" })])!;
    assert.deepEqual([after.phase, after.notice?.reason], ["pending", "not registered"]);
  });
});

describe("WIRE §2 a mark that does not count", () => {
  it("is verified by the owner at once, also after a restart", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      {
        await using rig = await openCoreRig({ directory, clock });
        await rig.append(intentBy("subscribe", BOB, { time: clock(), callback: `${CALLBACK}/unmarked` }));
        await rig.append(marked("subscribe", ALICE, { time: clock(), id: operationId() }));
        await rig.folded();
        assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
        await rig.append(marked("subscribe", BOB, { time: clock(), id: operationId(), secret: "bob's" }));
        const { intent: asked } = await eventually("the challenge", () => rig.effects.verifications[0]);
        assert.deepEqual(asked.client, BOB);
        await never("a second one, or one of what was not marked", () => rig.effects.verifications.length > 1, 100);
        await rig.folded();
      }
      await using rig = await openCoreRig({ directory, clock });
      const { intent: asked, found } = await eventually("the challenge again", () => rig.effects.verifications[0]);
      found({ ...result({ ...intentBy("subscribe"), id: asked.id }), challengedAt: clock() });
      await eventually("bob's", async () => (await rig.subscription(CALLBACK))?.secret === "bob's");
    });
  });

  it("one that counts delivers from there on, without anybody being asked", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const time = Date.now();
      await rig.append(marked("subscribe", ALICE, { time, id: operationId(), end: await rig.log.end("messages", 0) }));
      await rig.folded();
      await rig.publish(TOPIC, "one");
      const [sent] = await attempts(rig, 1);
      assert.equal(sent!.text, "one");
      assert.equal(rig.effects.verifications.length, 0);
    });
  });
});
