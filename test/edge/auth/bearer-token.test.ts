import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { accessTokenOf } from "../../../edge/auth/bearer-token.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";

const A = "aaa.bbb.ccc";
const B = "aaa.bbb.ddd";

type Sent = Readonly<Record<string, string>>;
/** What each request carries, and its token: a text, none, or the code of the refusal. */
const TABLE: readonly [what: string, headers: Sent, token: string | undefined | { readonly refused: string }][] = [
  ["nothing", {}, undefined],
  ["a bearer token", { authorization: `Bearer ${A}` }, A],
  ["the scheme in any case, RFC 9110 §11.1", { authorization: `bEARER  ${A}` }, A],
  ["an opaque bearer token", { authorization: "Bearer 0pa-que~/+==" }, "0pa-que~/+=="],
  ["a bare JWT", { authorization: A }, A],
  ["a bare JWT without a signature, which is for the verifier to refuse", { authorization: "aaa.bbb." }, "aaa.bbb."],
  ["a cookie", { cookie: `Authorization=${A}` }, A],
  ["a cookie among others", { cookie: `x=1; Authorization=${A}; authorization=${B}; XAuthorization=${B}` }, A],
  ["a quoted cookie", { cookie: `Authorization="${A}"` }, A],
  ["a cookie with spaces around it and its quotes", { cookie: ` Authorization= "${A}" ; x=1` }, A],
  ["a cookie with one quotation mark", { cookie: `Authorization="${A}` }, A],
  ["a cookie with quotation marks within", { cookie: `Authorization="a"${A}"` }, undefined],
  ["the cookie of a logout", { cookie: "Authorization=" }, undefined],
  ["the quoted cookie of a logout", { cookie: 'Authorization=""' }, undefined],
  ["a cookie of one quotation mark", { cookie: 'Authorization="' }, undefined],
  ["other cookies only", { cookie: "session=1" }, undefined],
  ["equal tokens in two places", { authorization: `Bearer ${A}`, cookie: `Authorization=${A}` }, A],
  ["equal tokens in all three", { authorization: `Bearer ${A}, ${A}`, cookie: `Authorization=${A}` }, A],
  ["different tokens in two places", { authorization: `Bearer ${A}`, cookie: `Authorization=${B}` }, {
    refused: "invalid_request",
  }],
  ["a header that was sent twice with different tokens", { authorization: `Bearer ${A}, Bearer ${B}` }, {
    refused: "invalid_request",
  }],
  ["two cookies that differ", { cookie: `Authorization=${A}; Authorization=${B}` }, { refused: "invalid_request" }],
  ["another scheme", { authorization: "Basic YTpi" }, { refused: "invalid_token" }],
  ["a bearer of nothing", { authorization: "Bearer" }, { refused: "invalid_token" }],
  ["a bearer of two words", { authorization: "Bearer a b" }, { refused: "invalid_token" }],
  ["a bearer of what no token is made of", { authorization: "Bearer <a>" }, { refused: "invalid_token" }],
  ["a bare opaque token, which could be any scheme", { authorization: "opaque" }, { refused: "invalid_token" }],
  ["an empty header", { authorization: "" }, { refused: "invalid_token" }],
  ["a cookie that is no JWT", { cookie: "Authorization=opaque" }, { refused: "invalid_token" }],
  ["a cookie from a page", { cookie: `Authorization=${A}`, origin: "https://evil.example" }, {
    refused: "invalid_token",
  }],
  ["a cookie with Origin: null", { cookie: `Authorization=${A}`, origin: "null" }, { refused: "invalid_token" }],
  ["a cookie from another site", { cookie: `Authorization=${A}`, "sec-fetch-site": "cross-site" }, {
    refused: "invalid_token",
  }],
  ["a cookie from a sister site", { cookie: `Authorization=${A}`, "sec-fetch-site": "same-site" }, {
    refused: "invalid_token",
  }],
  ["a cookie typed into the address bar", { cookie: `Authorization=${A}`, "sec-fetch-site": "none" }, A],
  ["a cookie from the hub's own page", { cookie: `Authorization=${A}`, "sec-fetch-site": "same-origin" }, A],
  ["a header beside the cookie of a page", {
    authorization: `Bearer ${A}`,
    cookie: `Authorization=${A}`,
    origin: "https://a.example",
  }, A],
];

describe("WIRE §6 the places of a token", () => {
  for (const [what, headers, token] of TABLE) {
    it(`${what}: ${typeof token === "object" ? token.refused : token ?? "no token"}`, () => {
      const read = () => accessTokenOf(new Headers(headers));
      if (typeof token !== "object") return assert.equal(read()?.token, token);
      assert.throws(read, (error) => {
        assert.ok(error instanceof HubError);
        assert.equal(error.code, token.refused);
        const onlyCookie = headers["authorization"] === undefined;
        if (token.refused === "invalid_token" && onlyCookie) {
          assert.match(error.message, /^The access token in the cookie /);
        }
        assert.doesNotMatch(error.message, /aaa|opaque|YTpi/, "what was sent is not repeated");
        return true;
      });
    });
  }

  it("are read in time that grows with the length of what was sent, and not faster", () => {
    const spaces = " ".repeat(2_000);
    const texts = [`${spaces}"x"y`, `x${spaces}x`, `"x${spaces}"x"${spaces}`, spaces];
    const before = process.cpuUsage();
    for (const text of texts) {
      for (const cookie of [`Authorization=${text}`, `${spaces}Authorization=${text}`]) {
        tryRead({ cookie });
      }
      tryRead({ authorization: `Bearer ${text}` });
    }
    const { user } = process.cpuUsage(before);
    // Time of the processor, which other processes do not take. A search that goes back takes 3 s or more.
    assert.ok(user < 500_000, `${user} µs`);
  });
});

function tryRead(headers: Sent): void {
  try {
    accessTokenOf(new Headers(headers));
  } catch (error) {
    assert.ok(error instanceof HubError);
  }
}
