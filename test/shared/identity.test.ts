import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { identityOf, identityOfPrefix } from "../../shared/identity.ts";
import { parseHttpUrl, UrlError } from "../../shared/http-url.ts";

// ── URLs, their other spellings, and what they mean, by a second way of thinking ───────────────────────────────────────────

const PIECES = [
  "a",
  "Z",
  "~",
  "%7E",
  "%7e",
  "%2F",
  "%2f",
  "/",
  ".",
  "..",
  "?",
  "=",
  "&",
  "+",
  "ü",
  "%C3%BC",
  "%c3",
  "|",
  "%7C",
  "[",
  "%5B",
  "😀",
  "%41",
  "%25",
  ";",
  "@",
  ":",
];
const URLS = fc.tuple(
  fc.constantFrom("http", "https", "HTTP", "Https"),
  fc.constantFrom("a.example", "A.Example", "münchen.example", "127.0.0.1", "[::1]", "a_b", "1a.example"),
  fc.constantFrom("", ":", ":80", ":443", ":8080", ":08080"),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }),
).map(([scheme, host, port, pieces]) => {
  const rest = pieces.join("");
  return `${scheme}://${host}${port}${rest === "" || rest.startsWith("?") ? rest : `/${rest}`}`;
});

const SAME: readonly (readonly [what: string, spellings: readonly [string, ...string[]]])[] = [
  ["the scheme's case", ["http://a.example/x", "HTTP://a.example/x", "hTTp://a.example/x"]],
  ["the host's case", ["https://a.example/X", "https://A.EXAMPLE/X"]],
  ["an IDN and its ASCII form", [
    "https://xn--mnchen-3ya.example/",
    "https://münchen.example/",
    "https://MÜNCHEN.example",
  ]],
  ["the default port", [
    "http://a.example/x",
    "http://a.example:80/x",
    "http://a.example:/x",
    "http://a.example:080/x",
  ]],
  ["https's default port", ["https://a.example/", "https://a.example:443/"]],
  ["an empty path", ["http://a.example/", "http://a.example"]],
  ["an empty path before a query", ["http://a.example/?b=c", "http://a.example?b=c"]],
  ["the case of escapes", ["http://a.example/%2F?a=%C3%BC", "http://a.example/%2f?a=%c3%bC"]],
  ["escapes of unreserved characters", ["http://a.example/~a-Z_0.9", "http://a.example/%7e%61%2D%5a%5F%30%2E9"]],
  ["raw non-ASCII and its escapes", ["http://a.example/%C3%BC?q=%F0%9F%98%80", "http://a.example/ü?q=😀"]],
  ["raw characters that no URL has", ["http://a.example/%7C%22?%7B%3C%3E%5E%60%7D", 'http://a.example/|"?{<>^`}']],
  ["the spellings of an IPv4 address", ["http://127.0.0.1:81/", "http://127.1:81/", "http://0x7f.0.0.1:81/"]],
  ["the spellings of an IPv6 address", ["http://[::1]:81/", "http://[0:0:0:0:0:0:0:1]:81"]],
];

const APART: readonly (readonly [string, string])[] = [
  ["http://a.example/", "https://a.example/"],
  ["http://a.example/", "http://a.example:443/"],
  ["http://a.example/", "http://a.example./"],
  ["http://a.example/x", "http://a.example/X"],
  ["http://a.example/x", "http://a.example/x/"],
  ["http://a.example/x", "http://a.example/x?"],
  ["http://a.example/a/b", "http://a.example/a%2Fb"],
  ["http://a.example/a/../b", "http://a.example/b"],
  ["http://a.example/?a&b", "http://a.example/?b&a"],
  ["http://a.example/?a=+", "http://a.example/?a=%20"],
  ["http://a.example/?a[]=1", "http://a.example/?a%5B%5D=1"],
  ["http://a.example/%", "http://a.example/%25"],
  ["http://a.example/%%34%31", "http://a.example/A"],
  ["http://a.example/ü", "http://a.example/u\u0308"],
];

const UNCHANGED = [
  "orders:created",
  "Partner/EVENT%41",
  "",
  "http",
  "http://",
  "http:///x",
  "http://a.example:99999/",
  "http://a.example:x/",
  "http://u:p@A.example/",
  "http://A.example/#f",
  "http://A.example/a b",
  "http://A.example\\x",
  "http://[fe80::1%25eth0]/",
  "http://[::1/",
  "http://A.example/\ud800",
  "http://\udfff/",
  "http://A%00b/",
  "FTP://A.example/",
];

describe("§5.1.1 WIRE the identity of a topic or callback", () => {
  for (const [what, [first, ...others]] of SAME) {
    it(`does not depend on ${what}`, () => {
      assert.equal(identityOf(first), first, "the first spelling is the identity itself");
      for (const other of others) assert.equal(identityOf(other), first);
    });
  }
  for (const [one, other] of APART) {
    it(`keeps ${one} and ${other} apart`, () => assert.notEqual(identityOf(one), identityOf(other)));
  }
  for (const text of UNCHANGED) {
    it(`of ${JSON.stringify(text)}, which cannot be called, is the text`, () => assert.equal(identityOf(text), text));
  }

  it("of any text is found without an error, and is its own identity", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "binary" }).map((rest) => `http://a.example/${rest}`),
      fc.string({ unit: "binary" }).map((rest) => `HTTPS://${rest}`),
      URLS,
    );
    fc.assert(
      fc.property(text, (given) => {
        const identity = identityOf(given);
        assert.equal(identityOf(identity), identity);
      }),
      { numRuns: 500 },
    );
  });

  it("of two URLs is equal exactly where RFC 3986 §6.2.2 and §6.2.3 call them equivalent, dot segments apart", () => {
    let equal = 0;
    const pairs = URLS.chain((one) => fc.tuple(fc.constant(one), fc.oneof(spelledOtherwise(one), URLS)));
    fc.assert(
      fc.property(pairs, ([one, other]) => {
        const isEqual = identityOf(one) === identityOf(other);
        assert.equal(isEqual, meaningOf(one) === meaningOf(other), `${one} and ${other}`);
        equal += Number(isEqual);
      }),
      { numRuns: 1_000 },
    );
    assert.ok(equal > 60, `${equal} pairs were equal`);
  });

  it("is called like the URL itself: the same origin, and a request line that means the same", () => {
    fc.assert(
      fc.property(URLS, (url) => {
        const [given, identity] = [parseHttpUrl(url), parseHttpUrl(identityOf(url))];
        assert.equal(given.origin, identity.origin);
        assert.match(given.target, /^\/[!$-;=?-Z[\]_a-z~]*$/);
      }),
      { numRuns: 500 },
    );
  });

  it("takes time that grows with the length only", () => {
    const parts = ["a.", "%2", "%41", "ü", ":8", "|", "[", "a-", "1.", "xn--"];
    for (const part of parts) {
      for (const before of ["http://", "http://a.example/", "http://a.example/%"]) {
        const started = performance.now();
        identityOf(before + part.repeat(20_000));
        assert.ok(performance.now() - started < 1_000, `${before}${part}…`);
      }
    }
  });
});

describe("WIRE §6 the beginning of identities", () => {
  const CASES: readonly (readonly [prefix: string, begins: string])[] = [
    ["partner/", "partner/"],
    ["", ""],
    ["HTTPS://", "https://"],
    ["https://A.example", "https://a.example"],
    ["https://A.example:84", "https://a.example:84"],
    ["https://A.example:443/Feeds/", "https://a.example/Feeds/"],
    ["https://a.example?x", "https://a.example/?x"],
    ["https://a.example/%7euser/%2f%2", "https://a.example/~user/%2F%2"],
    ["https://a.example/%c", "https://a.example/%C"],
    ["https://a.example/ü%", "https://a.example/%C3%BC%"],
  ];
  for (const [prefix, begins] of CASES) {
    it(`of ${JSON.stringify(prefix)} is ${begins}`, () => assert.equal(identityOfPrefix(prefix), begins));
  }
});

function spelledOtherwise(url: string) {
  return fc.constantFrom<(text: string) => string>(
    (text) => text.replace(/^https?/i, (scheme) => scheme.toUpperCase()),
    (text) => text.replace(/%[0-9a-f]{2}/gi, (escape) => escape.toLowerCase()),
    (text) => text.replaceAll("%7E", "~"),
    (text) => text.replace(/(?<=\/\/[^/?]*[/?].*)a/g, "%61"),
    (text) => text.replace(/[^\x00-\x7f]+(?=[^/]*$)/gu, encodeURIComponent),
    (text) => text.replace(/^(https?:\/\/[^/?]*)\/\?/i, "$1?"),
    (text) => text,
  ).map((spell) => spell(url)).filter((text) => {
    try {
      return parseHttpUrl(text) !== undefined;
    } catch (error) {
      if (error instanceof UrlError) return false;
      throw error;
    }
  });
}

/** The parts of a URL as RFC 3986 compares them: each character of path and query is a byte that is raw, or one that is escaped. */
function meaningOf(url: string): string {
  const [, scheme = "", authority = "", rest = ""] = /^(.*?):\/\/([^/?]*)(.*)$/s.exec(url)!;
  const { protocol, hostname, port } = new URL(`${scheme}://${authority}/`);
  const bytes: string[] = [];
  for (const [token] of (rest.startsWith("/") ? rest : `/${rest}`).matchAll(/%[0-9a-f]{2}|[^]/giu)) {
    if (/^%../.test(token)) {
      const character = String.fromCharCode(parseInt(token.slice(1), 16));
      bytes.push(/[a-z0-9._~-]/i.test(character) ? `raw ${character}` : `escaped ${character.charCodeAt(0)}`);
    } else if (/^[!$-;=?-Z[\]_a-z~]$/.test(token)) bytes.push(`raw ${token}`);
    else bytes.push(...Array.from(new TextEncoder().encode(token), (byte) => `escaped ${byte}`));
  }
  return JSON.stringify([protocol, hostname, port, bytes]);
}
