import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MOST_OF_STRANGERS, MOST_PENDING, withPending } from "../../../core/state/pending-intents.ts";
import type { PendingIntent } from "../../../core/state/records.ts";
import { intent as eventOf } from "../../support/rigs/subscription-events.ts";

let offsets = 0;
type More = Partial<PendingIntent>;
function pendingOf(mode: "subscribe" | "unsubscribe", more: More): PendingIntent {
  const { type: _, ...intent } = eventOf(mode);
  return { ...intent, offset: offsets++, ...more };
}
const of = (requester: string, more: More = {}) => pendingOf(more.mode ?? "subscribe", { requester, ...more });
const all = (intents: readonly PendingIntent[]) =>
  intents.reduce<readonly PendingIntent[]>((pending, intent) => withPending(pending, intent), []);
const idsOf = (pending: readonly PendingIntent[]) => pending.map(({ id }) => id);

describe("WIRE §2 the intents of a pair that wait", () => {
  it("of one requester are four at most: the newest takes the place of the one before, and the oldest stays", () => {
    const many = Array.from({ length: 50 }, () => of("one"));
    assert.deepEqual(idsOf(all(many)), idsOf([...many.slice(0, 3), many.at(-1)!]));
  });

  it("take the place of one of their mode before another", () => {
    const [a, b, c, d] = [of("one"), of("one"), of("one", { mode: "unsubscribe" }), of("one", { mode: "unsubscribe" })];
    const [bye, again] = [of("one", { mode: "unsubscribe" }), of("one")];
    assert.deepEqual(idsOf(all([a, b, c, d, bye])), idsOf([a, b, c, bye]));
    assert.deepEqual(idsOf(all([a, b, c, d, again])), idsOf([a, c, d, again]));
  });

  it("of an owner have places of their own, whatever strangers ask", () => {
    const strangers = Array.from({ length: 500 }, (_, n) => of(`stranger ${n % 50}`));
    const own = [of("owner", { isOwn: true }), of("owner", { isOwn: true, mode: "unsubscribe" })];
    const more = Array.from({ length: 500 }, (_, n) => of(`stranger ${n % 50}`));
    const pending = all([...strangers, ...own, ...more]);
    assert.deepEqual(idsOf(pending.filter(({ isOwn }) => isOwn === true)), idsOf(own));
    assert.equal(pending.length, MOST_OF_STRANGERS + 2);
    const flood = Array.from({ length: 50 }, () => of("owner", { isOwn: true }));
    assert.equal(all(flood).length, MOST_PENDING);
  });

  it("of a stranger leave room for those of another one", () => {
    const flood = Array.from({ length: 100 }, () => of("stranger"));
    const one = of("one");
    assert.ok(idsOf(all([...flood, one, ...flood.slice(50)])).includes(one.id));
  });

  it("of nobody known are four, and one more cancels the oldest, as before", () => {
    const old = Array.from({ length: 6 }, () => pendingOf("subscribe", {}));
    assert.deepEqual(idsOf(all(old)), idsOf(old.slice(-MOST_PENDING)));
  });

  it("§6.1 a subscribe that takes the place of another begins where that one would have, except after an unsubscribe", () => {
    const four = [of("one"), of("one"), of("one"), of("one", { end: 4 })];
    assert.equal(all([...four, of("one", { end: 9 })]).at(-1)!.end, 4);
    const parted = [of("one"), of("one", { end: 4 }), of("one", { mode: "unsubscribe" }), of("two")];
    const fifth = all([...parted, of("one", { mode: "unsubscribe" }), of("one", { end: 9 })]);
    assert.equal(fifth.at(-1)!.end, 9);
  });
});
