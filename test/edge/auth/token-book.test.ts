import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTokenBook } from "../../../edge/auth/token-book.ts";
import { seenIn, TokenRefusal } from "../../../edge/auth/token-refusal.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { createIsolateMetrics } from "../../../shared/runtime/workerd/metrics.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";

function open() {
  const time = { now: 0 };
  const log = keepLines();
  const metrics = createIsolateMetrics({});
  const book = createTokenBook({ metrics, logger: log as never, now: () => time.now });
  const counted = async (reason: string) => {
    const { text } = await metrics.render();
    return Number(new RegExp(`outcome="refused",reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  };
  return { time, book, lines: log.lines, counted };
}
const audience = (iss = "https://a") =>
  new TokenRefusal("audience", "The access token is not for this hub.", {
    seen: seenIn({ iss, aud: ["account", "b"], azp: "{client}" }),
    expected: "TIDINGS_AUDIENCE (hub)",
  });

describe("refusals of tokens", () => {
  it("are counted by reason, and logged with what was seen and what was expected", async () => {
    const { book, lines, counted } = open();
    book.refused(audience());
    assert.equal(await counted("audience"), 1);
    assert.deepEqual(lines, [
      'warn A request was refused for its token, reason audience: The access token is not for this hub. It names iss "https://a", ' +
      'aud ["account", "b"], azp "{client}". Expected: TIDINGS_AUDIENCE (hub).',
    ]);
  });

  it("are logged once a minute for each reason: a flood hides neither another reason nor its own size", async () => {
    const { time, book, lines, counted } = open();
    for (let index = 0; index < 1_000; index++) book.refused(audience());
    book.refused(new TokenRefusal("expired", "The access token has expired."));
    assert.deepEqual(lines.map((line) => /reason (\w+)/.exec(line)![1]), ["audience", "expired"]);
    time.now = 59_999;
    book.refused(audience());
    assert.equal(lines.length, 2);
    time.now = 60_000;
    book.refused(audience());
    assert.match(lines[2]!, / 1000 refusals for this reason were not logged since the last such line\.$/);
    assert.equal(await counted("audience"), 1_002);
  });

  it("are of tokens: an issuer that is away is none", async () => {
    const { book, lines } = open();
    book.refused(new HubError("unavailable", "away"));
    book.refused(new Error("x"));
    assert.deepEqual(lines, []);
  });
});

describe("what a token names, in a log line", () => {
  const CASES: readonly [what: string, claim: unknown, shown: string][] = [
    ["nothing", undefined, "none"],
    ["text", "https://a", '"https://a"'],
    ["controls, other scripts and lone halves", "a\n\u001b[31m\u202eé\ud800", '"a\\n\\u001b[31m\\u202e\\u00e9\\ud800"'],
    ["a list", ["a", 1, "b"], '["a", ..., "b"]'],
    ["a long list", ["a", "b", "c", "d", "e", "f"], '["a", "b", "c", "d", "e", ...]'],
    ["a number", 1, "not text but number"],
    ["an object", { a: "b" }, "not text but object"],
    ["null", null, "null"],
  ];
  for (const [what, claim, shown] of CASES) it(what, () => assert.equal(seenIn({ iss: claim }).iss, shown));

  it("is never long", () => {
    for (const claim of ["x".repeat(100_000), "\u0001".repeat(100_000), Array(100_000).fill("\u0001".repeat(200))]) {
      assert.ok(seenIn({ aud: claim }).aud.length <= 203);
    }
  });
});
