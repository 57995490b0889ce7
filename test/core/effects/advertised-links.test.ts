import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { advertisedLinks, linkHeader } from "../../../core/effects/advertised-links.ts";

const BASE = "https://example.com/blog/feed";
const HUB = "https://hub.example/hub";

function found(
  { link, contentType = "text/plain", body = "" }: { link?: string; contentType?: string; body?: string },
) {
  return advertisedLinks({ link, contentType, body: new TextEncoder().encode(body), base: BASE });
}

describe("what a topic advertises in its Link header (§4)", () => {
  const CASES: readonly (readonly [header: string, hubs: readonly string[], self: string | undefined])[] = [
    ['<https://h/>; rel="hub", <https://s/>; rel="self"', ["https://h/"], "https://s/"],
    ["<https://h/>;rel=hub,<https://s/>;rel=self", ["https://h/"], "https://s/"],
    ['<https://s/>; rel="self canonical"', [], "https://s/"],
    ['<https://h/>; title="a, b; c"; REL="HUB"', ["https://h/"], undefined],
    [
      "<https://h1/>; rel=hub, <https://h2/>; rel=hub, <https://h1/>; rel=hub",
      ["https://h1/", "https://h2/"],
      undefined,
    ],
    ["<?x=1>; rel=hub, <../up>; rel=hub", ["https://example.com/blog/feed?x=1", "https://example.com/up"], undefined],
    ["</s>; rel=self", [], "https://example.com/s"],
    ["<https://one/>; rel=self, <https://two/>; rel=self", [], "https://one/"],
    ["<ftp://h/>; rel=hub, <javascript:x>; rel=self, <data:,x>; rel=hub", [], undefined],
    ["<https://H.Example/%7e/ü?b=%2F>; rel=self", [], "https://H.Example/%7e/ü?b=%2F"],
    ['<https://h/>; title="; rel=hub"', [], undefined],
    ["<https://h/>; rel=next; rel=hub", [], undefined],
    ['<https://h/>; rel=hub; anchor="https://other/"', [], undefined],
    ["", [], undefined],
    ["garbage", [], undefined],
    ["<https://h/", [], undefined],
    ["<>; rel=self", [], BASE],
  ];
  for (const [link, hubs, self] of CASES) {
    it(JSON.stringify(link), () => assert.deepEqual(found({ link }), { hubs, self }));
  }
});

describe("what a topic advertises in its elements (§4)", () => {
  const html = (head: string) => `<!doctype html><html><head>${head}</head><body>x</body></html>`;
  const atom = (inner: string) => `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">${inner}</feed>`;
  const hub = '<link rel="hub" href="https://h/"/>';
  const self = '<link rel="self" href="https://s/"/>';
  const both = { hubs: ["https://h/"], self: "https://s/" };
  const onlyHub = { hubs: ["https://h/"], self: undefined };
  const none = { hubs: [], self: undefined };
  const inHtml = (head: string) => found({ contentType: "text/html; charset=utf-8", body: html(head) });
  const inAtom = (inner: string) => found({ contentType: "application/atom+xml", body: atom(inner) });

  it("in HTML, whatever the quotes, the case and the order of attributes", () => {
    assert.deepEqual(inHtml(hub + self), both);
    assert.deepEqual(inHtml(`${hub}<link rel="hub" href="https://h2/">`).hubs, ["https://h/", "https://h2/"]);
    assert.deepEqual(inHtml("<LINK HREF='https://h/' REL='hub'><link href=https://s/ rel=self>"), both);
    assert.deepEqual(inHtml('<link\n rel = "hub"\n href = "https://h/?a=1&amp;b=2" >').hubs, ["https://h/?a=1&b=2"]);
    assert.equal(inHtml('<link data-href="https://x/" rel=self href="/s">').self, "https://example.com/s");
  });

  it("in Atom and RSS, also with a namespace's prefix", () => {
    assert.deepEqual(inAtom(hub + self), both);
    const links = '<atom:link rel="hub" href="https://h/"/><atom:link rel="self" href="https://s/"/>';
    for (const contentType of ["application/rss+xml", "text/xml", "application/xml; charset=utf-8"]) {
      assert.deepEqual(found({ contentType, body: `<rss><channel>${links}</channel></rss>` }), both);
    }
  });

  it("not in other types, not in comments, and not where text only looks like it", () => {
    assert.deepEqual(found({ contentType: "text/plain", body: hub + self }), none);
    assert.deepEqual(found({ contentType: "application/json", body: hub + self }), none);
    assert.deepEqual(inHtml(`<!-- ${hub} --><!--${self}-->`), none);
    assert.deepEqual(inHtml(`<!-- a --> ${hub} <!-- ${self}`), onlyHub);
    assert.deepEqual(inAtom(`<subtitle><![CDATA[${hub}${self}]]></subtitle>`), none);
    assert.deepEqual(inHtml("&lt;link rel=hub href=https://h/&gt;<linker rel=hub href=https://h/>"), none);
  });

  it("of a feed, not of its entries", () => {
    assert.deepEqual(inAtom(`${hub}<entry><link rel="self" href="https://entry/"/></entry>`), onlyHub);
    const item = '<item><atom:link rel="self" href="https://item/"/></item>';
    const rss = `<rss><channel>${item}</channel></rss>`;
    assert.deepEqual(found({ contentType: "application/rss+xml", body: rss }), none);
  });

  it("only if the header lacks it", () => {
    const document = { contentType: "text/html", body: html(`<link rel="hub" href="https://other/">${self}`) };
    assert.deepEqual(found({ link: "<https://h/>; rel=hub", ...document }), both);
    const hubAndSelf = { ...document, body: html('<link rel="hub self" href="https://s/">') };
    assert.deepEqual(found({ link: "<https://h/>; rel=hub", ...hubAndSelf }), both);
    const all = "<https://h/>; rel=hub, <https://t/>; rel=self";
    assert.deepEqual(found({ link: all, ...document }), { hubs: ["https://h/"], self: "https://t/" });
  });

  it("within the first 64 KiB", () => {
    assert.deepEqual(inHtml(`<style>${" ".repeat(70_000)}</style>${hub}`), none);
  });

  it("hostile documents and headers cost no time, and nothing throws", () => {
    const began = performance.now();
    const parts = [
      "<",
      "<!--",
      "<link ",
      "<link rel=",
      "<![CDATA[",
      "<a:",
      "-->",
      '<link rel="',
      "<link href=x rel=hub>",
    ];
    for (const part of parts) {
      found({ contentType: "text/html", body: part.repeat(70_000 / part.length) });
      found({ link: part.repeat(16_000 / part.length) });
    }
    found({ link: `<a>${";a".repeat(8_000)}` });
    found({ link: `<a>;a=${" ".repeat(16_000)}x` });
    found({ link: `<a>;a${" ".repeat(16_000)}` });
    found({ link: `<a>;${" ".repeat(16_000)}` });
    assert.ok(performance.now() - began < 2_000, `${performance.now() - began} ms`);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (body, link) => {
      advertisedLinks({ link, contentType: "text/html", body, base: BASE });
    }));
  });
});

describe("the Link of a delivery (§7)", () => {
  const TOPIC = "https://example.com/feed";
  const options = { hubUrl: HUB, topic: TOPIC, most: 5_000 };

  it("is the lane's own if the topic advertises nothing", () => {
    assert.equal(linkHeader({ hubs: [], self: undefined }, options), undefined);
  });

  it("has every hub that was advertised, and exactly one self", () => {
    assert.equal(
      linkHeader({ hubs: ["https://h1/", "https://h2/"], self: "https://s/" }, options),
      '<https://h1/>; rel="hub", <https://h2/>; rel="hub", <https://s/>; rel="self"',
    );
    const ownHub = linkHeader({ hubs: [], self: "https://s/" }, options);
    assert.equal(ownHub, `<${HUB}>; rel="hub", <https://s/>; rel="self"`);
    const ownSelf = linkHeader({ hubs: ["https://h/"], self: undefined }, options);
    assert.equal(ownSelf, `<https://h/>; rel="hub", <${TOPIC}>; rel="self"`);
  });

  it("cannot be broken out of", () => {
    const link = linkHeader({ hubs: ['https://h/>; rel="self", <x\r\ny: z'], self: "https://s/ü" }, options)!;
    assert.match(link, /^[\x20-\x7e]*$/);
    assert.equal(link.match(/rel="self"/g)?.length, 1);
    assert.ok(link.includes("<https://s/%C3%BC>"));
  });

  it("WIRE §3 stays within what is left for it, whatever a document advertises: subscribers refuse long headers", () => {
    const hubs = Array.from({ length: 5_000 }, (_, index) => `https://hub${index}.example/`);
    for (const most of [TOPIC.length, 100, 200, 1_000, 5_000]) {
      const link = linkHeader({ hubs, self: `https://s/${"x".repeat(50_000)}` }, { ...options, most })!;
      const beside = '; rel="self"<>'.length + (link.includes(HUB) ? HUB.length + '<>; rel="hub", '.length : 0);
      assert.ok(link.length - beside <= most, `${link.length} of ${most}`);
      assert.ok(link.endsWith(`<${TOPIC}>; rel="self"`));
      assert.match(
        link,
        most < 100 ? /^<https:\/\/hub.example\/hub>; rel="hub", / : /^<https:\/\/hub0.example\/>; rel="hub", /,
      );
    }
    const long = linkHeader({ hubs: [`https://h/${"x".repeat(50_000)}`], self: undefined }, options)!;
    assert.equal(long, `<${HUB}>; rel="hub", <${TOPIC}>; rel="self"`);
  });
});
