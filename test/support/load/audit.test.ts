import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { audit, type Findings } from "./audit.ts";
import { type Arrival, type Book, createBook, type Fault, noteMessage, type Pair, type Wish } from "./book.ts";

const TOPIC = "t";

/** A book with one subscription, made at 0 and confirmed at 100, and messages a (1,000), b (2,000), c (3,000), answered 10 later. */
function bookOfOne(): { book: Book; pair: Pair; first: Wish } {
  const book = createBook();
  const first: Wish = { number: 1, mode: "subscribe", secret: "one", madeAt: 0, answeredAt: [100] };
  const pair: Pair = { name: "s", topic: TOPIC, callback: "http://127.0.0.1/", wishes: [first], arrivals: [] };
  book.pairs.push(pair);
  for (const [index, key] of ["a", "b", "c"].entries()) publish(book, key, (index + 1) * 1_000);
  return { book, pair, first };
}

function publish(book: Book, key: string, sentAt: number, answered = true): void {
  const message = noteMessage(book, key, TOPIC, `${key} body`, sentAt);
  if (!answered) return;
  message.ackedAt = sentAt + 10;
  message.id = `id of ${key}`;
}

function come(pair: Pair, key: string, at: number, more: Partial<Arrival> = {}): void {
  pair.arrivals.push({
    key,
    id: `id of ${key}`,
    offset: key.charCodeAt(0),
    intact: true,
    signedWith: "one",
    at,
    status: 204,
    answeredAt: at + 1,
    ...more,
  });
}

function wish(pair: Pair, mode: Wish["mode"], secret: string, madeAt: number): void {
  const answeredAt = [madeAt + 10];
  pair.wishes.push({ number: pair.wishes.length + 1, mode, secret, madeAt, answeredAt });
}

function fault(book: Book, target: Fault["target"], kind: Fault["kind"], from: number, to: number): void {
  book.faults.push({ target, kind, from, to });
}

const look = (book: Book): Findings => audit(book, { deadLetterAttempts: 2, now: 90_000 });
const breaches = (book: Book) =>
  look(book).violations.map(({ breach, what }) => `${breach} ${/[abc]\b/.exec(what)?.[0]}`);

describe("the auditor", () => {
  it("counts a message's refusals anew in each life", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    come(pair, "b", 2_020);
    wish(pair, "unsubscribe", "", 2_900);
    wish(pair, "subscribe", "two", 2_950);
    // The hub has not folded the end yet: one refusal belongs to the first life.
    come(pair, "c", 3_020, { status: 422 });
    for (const at of [3_200, 3_220]) come(pair, "c", at, { status: 422, signedWith: "two" });
    assert.deepEqual(breaches(book), []);
    come(pair, "c", 3_240, { status: 422, signedWith: "two" });
    assert.deepEqual(breaches(book), ["forbidden repeat c"]);
  });

  it("finds nothing where everything came once, in order", () => {
    const { book, pair } = bookOfOne();
    for (const [key, at] of [["a", 1_020], ["b", 2_020], ["c", 3_020]] as const) come(pair, key, at);
    assert.deepEqual(look(book), {
      violations: [],
      accepted: 3,
      arrivals: 3,
      repeats: 0,
      deadLetters: 0,
      oldestRepeatMs: 0,
    });
  });

  it("finds what was lost, and what was never answered 2xx by the subscriber", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    come(pair, "c", 3_020, { status: 500 });
    assert.deepEqual(breaches(book), ["lost b", "lost c"]);
  });

  it("lets a publish that was not answered come, or not", () => {
    const { book, pair } = bookOfOne();
    publish(book, "x", 3_500, false);
    for (const [key, at] of [["a", 1_020], ["b", 2_020], ["c", 3_020]] as const) come(pair, key, at);
    assert.deepEqual(breaches(book), []);
    publish(book, "y", 3_600, false);
    come(pair, "y", 3_700);
    assert.deepEqual(breaches(book), []);
  });

  it("finds what was skipped by a subscription that then ended, and asks no more of it", () => {
    const { book, pair } = bookOfOne();
    come(pair, "b", 2_020);
    wish(pair, "unsubscribe", "", 4_000);
    assert.deepEqual(breaches(book), ["lost a"]);
  });

  it("counts dead letters by what the subscriber answered", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020, { status: 422 });
    come(pair, "a", 1_040, { status: 422 });
    come(pair, "b", 2_020, { status: 422 });
    come(pair, "c", 3_020);
    assert.equal(look(book).deadLetters, 1);
    assert.deepEqual(breaches(book), ["lost b"]);
  });

  it("finds a first delivery out of order, by time and by cursor", () => {
    const { book, pair } = bookOfOne();
    for (const [key, at] of [["b", 2_020], ["a", 2_030], ["c", 3_020]] as const) come(pair, key, at);
    assert.deepEqual(breaches(book), ["out of order a", "out of order a"], "tried and done");
    const other = bookOfOne();
    for (const [key, at] of [["a", 1_020], ["b", 2_020], ["c", 3_020]] as const) {
      come(other.pair, key, at, { offset: key === "b" ? 500 : 400 });
    }
    assert.deepEqual(breaches(other.book), ["out of order c", "out of order c"]);
  });

  it("finds what overtook a message that failed", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    come(pair, "b", 2_020, { status: 500 });
    come(pair, "c", 3_020);
    come(pair, "b", 3_040);
    assert.deepEqual(breaches(book), ["out of order b"]);
  });

  it("forbids a repeat unless the core or the broker was killed or slept since", () => {
    for (
      const [target, kind, from, to, allowed] of [
        ["core", "killed", 3_100, 3_500, true],
        ["core", "asleep", 3_100, 3_500, true],
        ["broker", "killed", 3_100, 3_500, true],
        ["core", "restarted", 3_100, 3_500, false],
        ["edge", "killed", 3_100, 3_500, false],
        ["core", "killed", 1_500, 1_900, false],
        ["core", "killed", 5_000, 5_500, false],
      ] as const
    ) {
      const { book, pair } = bookOfOne();
      for (const [key, at] of [["a", 1_020], ["b", 2_020], ["c", 3_020], ["c", 4_000]] as const) come(pair, key, at);
      fault(book, target, kind, from, to);
      assert.equal(look(book).repeats, 1);
      assert.deepEqual(breaches(book), allowed ? [] : ["forbidden repeat c"], `${target} ${kind} ${from}`);
    }
  });

  it("finds what comes after an unsubscribe, 1 s after it, and later if processes were down meanwhile", () => {
    for (const [at, broken, found] of [[5_500, 0, 1], [4_800, 0, 0], [5_500, 600, 0], [12_000, 600, 1]] as const) {
      const { book, pair } = bookOfOne();
      for (const [key, at] of [["a", 1_020], ["b", 2_020]] as const) come(pair, key, at);
      wish(pair, "unsubscribe", "", 4_000);
      come(pair, "c", at);
      if (broken > 0) fault(book, "core", "killed", 4_400, 4_400 + broken);
      assert.equal(breaches(book).filter((breach) => breach === "after the end c").length, found, `${at} ${broken}`);
    }
  });

  it("counts no time in which there was no log to read", () => {
    for (const [at, found] of [[31_000, []], [47_000, ["after the end c"]]] as const) {
      const { book, pair } = bookOfOne();
      for (const [key, at] of [["a", 1_020], ["b", 2_020]] as const) come(pair, key, at);
      wish(pair, "unsubscribe", "", 4_000);
      fault(book, "broker", "killed", 4_300, 30_000);
      come(pair, "c", at);
      assert.deepEqual(breaches(book), found);
    }
  });

  it("finds what was published between an unsubscribe and a subscribe, or before the first one", () => {
    const { book, pair } = bookOfOne();
    publish(book, "x", 6_000);
    publish(book, "y", -100);
    come(pair, "y", 200, { offset: 1 });
    for (const [key, at] of [["a", 1_020], ["b", 2_020], ["c", 3_020]] as const) come(pair, key, at);
    wish(pair, "unsubscribe", "", 4_000);
    wish(pair, "subscribe", "two", 7_000);
    come(pair, "x", 7_500, { signedWith: "two" });
    assert.deepEqual(
      look(book).violations.map(({ breach, what }) => [breach, what.split(" ")[1]]),
      [["after the end", "y"], ["after the end", "x"]],
    );
  });

  it("finds an old secret after a renewal, and a signature that is nobody's", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    wish(pair, "subscribe", "two", 1_500);
    come(pair, "b", 2_020, { signedWith: "one" });
    come(pair, "c", 3_020, { signedWith: "one" });
    assert.deepEqual(breaches(book), ["wrong secret c"]);
    const other = bookOfOne();
    for (const [key, at] of [["a", 1_020], ["b", 2_020]] as const) come(other.pair, key, at);
    come(other.pair, "c", 3_020, { signedWith: undefined });
    assert.deepEqual(breaches(other.book), ["wrong secret c"]);
  });

  it("lets a renewal that was confirmed just before a 410 live on, since the hub may hear of the yes after it (chaos, seed 1)", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    wish(pair, "subscribe", "two", 1_760);
    come(pair, "b", 2_020, { status: 410 });
    wish(pair, "gone", "", 2_020);
    wish(pair, "subscribe", "three", 2_600);
    // "two" began a life after the 410, and 1 s after its own yes "three" is not folded yet.
    come(pair, "c", 3_205, { signedWith: "two" });
    assert.deepEqual(breaches(book), []);
    come(pair, "c", 3_900, { signedWith: "two", status: 500 });
    assert.deepEqual(breaches(book).map((breach) => breach.split(" ", 2).join(" ")), [
      "wrong secret",
      "forbidden repeat",
    ]);
  });

  it("lets nothing live on after a 410 but what the hub may not have folded by then", () => {
    for (
      const [secret, madeAt, answered, found] of [
        // There was no renewal, or the 410 answered a delivery under its secret, or the hub had 1 s to fold it.
        [undefined, 0, "one", ["after the end c"]],
        ["two", 1_760, "two", ["after the end c"]],
        ["one", 900, "one", ["after the end c"]],
        // The renewal may live on, and nothing older.
        ["two", 1_760, "one", ["wrong secret c"]],
        ["one", 1_760, "one", []],
      ] as const
    ) {
      const { book, pair } = bookOfOne();
      come(pair, "a", 1_020);
      if (secret !== undefined) wish(pair, "subscribe", secret, madeAt);
      come(pair, "b", 2_020, { status: 410, signedWith: answered });
      wish(pair, "gone", "", 2_020);
      come(pair, "c", 3_205, { signedWith: "one" });
      assert.deepEqual(breaches(book), found, `${secret} of ${madeAt}, 410 to ${answered}`);
    }
  });

  it("finds what comes after the 410 of a life that began after a 410", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    wish(pair, "subscribe", "two", 1_760);
    come(pair, "b", 2_020, { status: 410 });
    wish(pair, "gone", "", 2_020);
    come(pair, "c", 3_020, { status: 410, signedWith: "two" });
    pair.wishes.at(-1)!.answeredAt.push(3_021);
    assert.deepEqual(breaches(book), []);
    publish(book, "d", 3_500);
    come(pair, "d", 4_100, { signedWith: "two" });
    assert.deepEqual(look(book).violations, [{ breach: "after the end", what: "s: d came at 4100" }]);
  });

  it("counts the refusals of a life that began after a 410 together with those of its renewal", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    wish(pair, "subscribe", "two", 1_760);
    come(pair, "b", 2_020, { status: 410 });
    wish(pair, "gone", "", 2_020);
    wish(pair, "subscribe", "three", 2_600);
    come(pair, "c", 3_020, { signedWith: "two", status: 422 });
    come(pair, "c", 3_060, { signedWith: "three", status: 422 });
    publish(book, "d", 4_000);
    come(pair, "d", 4_010, { signedWith: "three" });
    assert.deepEqual(look(book).violations, []);
    assert.equal(look(book).deadLetters, 1);
  });

  it("finds that a renewal which was acted on is forgotten by a crash", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020);
    wish(pair, "subscribe", "two", 1_500);
    come(pair, "b", 2_020, { signedWith: "two" });
    fault(book, "core", "killed", 2_100, 3_015);
    come(pair, "c", 3_060, { signedWith: "one" });
    assert.deepEqual(breaches(book), ["wrong secret c"]);
  });

  it("takes either where a fault came right after the yes, until something shows which it was", () => {
    const { book, pair } = bookOfOne();
    fault(book, "edge", "killed", 120, 700);
    assert.deepEqual(breaches(book).map((breach) => breach.split(" undefined")[0]), ["not recovered"]);
    pair.wishes[0]!.answeredAt.push(1_500);
    come(pair, "b", 2_020);
    come(pair, "c", 3_020);
    assert.deepEqual(breaches(book), [], "a was published before the yes that counted");
  });

  it("finds a body, an id or an offset that is not the same everywhere", () => {
    const { book, pair } = bookOfOne();
    come(pair, "a", 1_020, { intact: false });
    come(pair, "b", 2_020, { id: "another" });
    come(pair, "c", 3_020);
    const second: Pair = { ...pair, name: "s2", arrivals: [] };
    book.pairs.push(second);
    for (const [key, at] of [["a", 1_020], ["b", 2_020]] as const) come(second, key, at);
    come(second, "c", 3_020, { offset: 400 });
    assert.deepEqual(breaches(book).filter((breach) => breach.startsWith("altered")), [
      "altered a",
      "altered b",
      "altered b",
      "altered c",
    ]);
  });
});

describe("the auditor of several cores", () => {
  const shared = (book: Book, kind: Fault["kind"], from: number, to: number) =>
    void book.faults.push({ target: "core", kind, from, to, shared: true });

  it("lets what was answered come again after one was killed or slept, not after one joined, left or was restarted", () => {
    for (const [kind, breach] of [["killed", []], ["asleep", []], ["ended", []]] as const) {
      const { book, pair } = bookOfOne();
      for (const [key, at] of [["a", 1_020], ["b", 2_020], ["a", 13_000], ["c", 13_100]] as const) come(pair, key, at);
      shared(book, kind, 1_500, 1_900);
      assert.deepEqual(breaches(book), breach, kind);
    }
    for (const kind of ["joined", "left", "restarted"] as const) {
      const { book, pair } = bookOfOne();
      for (const [key, at] of [["a", 1_020], ["a", 1_900], ["b", 2_020], ["c", 3_020]] as const) come(pair, key, at);
      shared(book, kind, 1_500, 1_600);
      assert.deepEqual(breaches(book), ["forbidden repeat a"], kind);
    }
  });

  it("lets an attempt that had no answer when its shard moved be repeated, and no other", () => {
    for (const [answeredAt, expected] of [[2_400, []], [1_600, ["forbidden repeat a"]]] as const) {
      const { book, pair } = bookOfOne();
      come(pair, "a", 1_020, { answeredAt });
      for (const [key, at] of [["a", 2_500], ["b", 2_600], ["c", 3_020]] as const) come(pair, key, at);
      shared(book, "left", 1_300, 1_500);
      assert.deepEqual(breaches(book), expected, `answered at ${answeredAt}`);
    }
  });

  it("§6.5 lets an old secret stand for 15 s after the death of a core that is back at once, and of the one that took over", () => {
    const late = (at: number, faults: readonly number[]) => {
      const { book, pair } = bookOfOne();
      wish(pair, "subscribe", "two", 4_000);
      for (const [key, arrival] of [["a", 1_020], ["b", 2_020], ["c", 3_020]] as const) come(pair, key, arrival);
      publish(book, "x", at - 100);
      come(pair, "x", at);
      for (const from of faults) shared(book, "killed", from, from + 800);
      return breaches(book).map((breach) => breach.split(" ").slice(0, 2).join(" "));
    };
    assert.deepEqual(late(5_600, []), ["wrong secret"]);
    assert.deepEqual(late(18_000, [4_500]), []);
    assert.deepEqual(late(20_600, [4_500]), ["wrong secret"]);
    assert.deepEqual(late(20_600, [4_500, 12_000]), []);
    assert.deepEqual(late(27_600, [4_500, 12_000]), ["wrong secret"]);
  });
});
