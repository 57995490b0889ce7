import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FAILURE_KEPT_MS, failuresOf, MOST_FAILURES } from "../../../core/state/failed-verifications.ts";
import type { IntentEvent } from "../../../core/state/events.ts";
import { fold, intent, result, TIME } from "../../support/rigs/subscription-events.ts";

/** A subscribe that failed, and why. */
function failing(reason: string, by: Pick<IntentEvent, "client" | "requester" | "secret">, time = TIME) {
  const asked = intent("subscribe", { ...by, time });
  return [asked, result(asked, false, { outcome: "failed", reason, time })];
}
const alice = { client: { issuer: "https://a", claim: "sub", userId: "alice" } };

describe("WIRE §5 failed verifications of a pair that nobody has", () => {
  it("stand side by side: nobody's takes the place of another's, and each has its own newest", () => {
    const record = fold([
      ...failing("alice's first", alice),
      ...failing("mallory's", { requester: "m" }),
      ...failing("alice's", { ...alice, secret: "sealed anew" }),
      ...failing("bob's", { requester: "b", secret: "x" }),
    ])!;
    assert.deepEqual(failuresOf(record, TIME).map(({ reason }) => reason), ["bob's", "alice's", "mallory's"]);
    assert.deepEqual(failuresOf(record, TIME)[1]?.by, { ...alice, secret: "sealed anew" });
    assert.deepEqual(failuresOf(record, TIME + FAILURE_KEPT_MS), []);
    const asked = intent("subscribe", alice);
    assert.equal(fold([asked, result(asked)], record, 20)?.lastVerification, undefined);
  });

  it("are a few at most, the newest, and none that is too old", () => {
    const many = Array.from({ length: 9 }, (_, n) => failing(String(n), { requester: String(n) }, TIME + n)).flat();
    const record = fold(many)!;
    assert.deepEqual(failuresOf(record, TIME).map(({ reason }) => reason), ["8", "7", "6", "5"]);
    assert.equal(failuresOf(record, TIME).length, MOST_FAILURES);
    const later = fold(failing("late", alice, TIME + FAILURE_KEPT_MS + 6), record, 100)!;
    assert.deepEqual(later.lastVerification?.others?.map(({ reason }) => reason), ["8", "7"]);
  });
});
