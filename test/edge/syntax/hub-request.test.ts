import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { parseQuery } from "../../../edge/syntax/form.ts";
import { longestBody, parseHubRequest } from "../../../edge/syntax/hub-request.ts";
import type { HubRequest } from "../../../edge/syntax/hub-request.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { encodeForm } from "../../support/form.ts";
import type { Parameters } from "../../support/form.ts";
import { RULES } from "../../support/rigs/lease-rules.ts";

const FORM = "application/x-www-form-urlencoded";
const OCTETS = "application/octet-stream";
const T = "http://t.example/a";
const E = encodeURIComponent;

interface Sent {
  readonly query?: string;
  readonly type?: string | null;
  readonly publisher?: string;
  readonly body?: string;
}

function parse({ query = "", type = FORM, publisher, body = "" }: Sent, allow: readonly string[] = []): HubRequest {
  return parseHubRequest(
    { query: parseQuery(query), contentType: type, publisher: publisher ?? null, body: new TextEncoder().encode(body) },
    { ...RULES, guard: createOutboundGuard(allow) },
  );
}

function refusal(sent: Sent, allow: readonly string[] = []): string {
  try {
    parse(sent, allow);
  } catch (error) {
    assert.ok(error instanceof HubError, String(error));
    assert.equal(error.code, "invalid_request");
    assert.match(error.message, /^[^\n]+\.$/, "one sentence");
    return error.message;
  }
  throw new Error("it was not refused");
}

const content = (topic: string, contentType: string, body: string): HubRequest => ({
  kind: "content",
  topic,
  contentType,
  body: new TextEncoder().encode(body),
});
const ping = (topics: readonly string[], quiet: boolean): HubRequest => ({ kind: "ping", topics, quiet });

describe("WIRE §1 a body has at most 64 KiB unless the query says that it is content", () => {
  const PUBLISH = "hub.topic=t&hub%2Emode=publish";
  for (
    const [query, publisher, longest] of [
      ["", null, 65_536],
      ["", "publish", 65_536],
      ["hub.mode=register&hub.topic=t", null, 65_536],
      ["hub.mode=subscribe&hub.mode=publish", null, 65_536],
      [PUBLISH, null, 1_000_000],
      [PUBLISH, "publish", 1_000_000],
      [PUBLISH, "event", 65_536],
    ] as const
  ) {
    it(`?${query}, x-ballerina-publisher: ${publisher}`, () => {
      assert.equal(longestBody({ query: parseQuery(query), publisher }, 1_000_000), longest);
    });
  }
});

describe("WIRE §1 the dispatch table", () => {
  const ROWS: readonly [row: string, sent: Sent, expected: HubRequest][] = [
    ["register in the form", { body: "hub.mode=register&hub.topic=a" }, { kind: "register", topic: "a" }],
    ["deregister in the form", { body: "hub.mode=deregister&hub.topic=a" }, { kind: "deregister", topic: "a" }],
    ["unregister, MOSIP's spelling", { body: "hub.mode=unregister&hub.topic=a" }, { kind: "deregister", topic: "a" }],
    ["register in the query", { query: "hub.mode=register&hub.topic=a" }, { kind: "register", topic: "a" }],
    [
      "unregister in the query with any body",
      { query: "hub.mode=unregister&hub.topic=a", type: "image/png", body: "hub.mode=subscribe" },
      { kind: "deregister", topic: "a" },
    ],
    [
      "a query publish with a body",
      { query: "hub.mode=publish&hub.topic=a", type: "Text/X; v=1", body: "{}" },
      content("a", "Text/X; v=1", "{}"),
    ],
    [
      "a query publish with a body without type",
      { query: "hub.mode=publish&hub.topic=a", type: null, body: "x" },
      content("a", OCTETS, "x"),
    ],
    [
      "a query publish with a form as its body",
      { query: "hub.mode=publish&hub.topic=a", body: "hub.mode=subscribe&x=%zz" },
      content("a", FORM, "hub.mode=subscribe&x=%zz"),
    ],
    [
      "the same with Ballerina's publish",
      { query: "hub.mode=publish&hub.topic=a", body: "event=e", publisher: "publish" },
      content("a", FORM, "event=e"),
    ],
    [
      "a query publish to a URL with a body",
      { query: `hub.mode=publish&hub.topic=${E(T)}`, type: "text/x", body: "x" },
      content(T, "text/x", "x"),
    ],
    [
      "a query publish with a type, but no body",
      { query: "hub.mode=publish&hub.topic=a", type: "application/json" },
      content("a", "application/json", ""),
    ],
    ["a form without a type", { type: null, body: "hub.mode=register&hub.topic=a" }, { kind: "register", topic: "a" }],
    ["the same in another order", { type: null, body: "hub.topic=a&hub.mode=register" }, {
      kind: "register",
      topic: "a",
    }],
    [
      "two spellings of one URL",
      { body: `hub.mode=publish&hub.url=${E(T)}&hub.url=${E("HTTP://T.example:80/%61")}` },
      ping([T], true),
    ],
    ["a form ping", { body: `hub.mode=publish&hub.url=${E(T)}` }, ping([T], true)],
    ["a form ping by hub.topic", { body: `hub.mode=publish&hub.topic=${E(T)}` }, ping([T], true)],
    [
      "a form ping with other parameters",
      { body: `hub.mode=publish&hub.topic=${E(T)}&x=1&hub.foo=2` },
      ping([T], true),
    ],
    [
      "a form ping with many topics, each once",
      { body: `hub.mode=publish&hub.url=${E(T)}&hub.url=http://u.example/&hub.topic=${E(T)}` },
      ping([T, "http://u.example/"], true),
    ],
    [
      "a form ping with Ballerina's publish",
      { body: `hub.mode=publish&hub.topic=${E(T)}`, publisher: "publish" },
      ping([T], true),
    ],
    [
      "a form publish to a name with more in it",
      { body: "hub.mode=publish&hub.topic=a%2Fb&x=1" },
      content("a/b", FORM, "hub.mode=publish&hub.topic=a%2Fb&x=1"),
    ],
    [
      "a form type with a parameter",
      { type: "Application/X-WWW-Form-Urlencoded ; charset=UTF-8", body: `hub.mode=publish&hub.url=${E(T)}` },
      ping([T], true),
    ],
    ["a query publish of a URL without a body", { query: `hub.mode=publish&hub.topic=${E(T)}` }, ping([T], false)],
    [
      "the same without a type",
      { query: `hub.mode=publish&hub.topic=${E(T)}&hub.topic=http://u.example/`, type: null },
      ping([T, "http://u.example/"], false),
    ],
    ["a query publish of a hub.url", { query: `hub.mode=publish&hub.url=${E(T)}`, type: null }, ping([T], false)],
    [
      "Ballerina's event in the form, of a URL",
      { body: `hub.mode=publish&hub.topic=${E(T)}`, publisher: "event" },
      ping([T], false),
    ],
    [
      "Ballerina's event in the query, whatever the body",
      { query: `hub.mode=publish&hub.topic=${E(T)}`, type: "text/x", body: "x", publisher: "event" },
      ping([T], false),
    ],
    [
      "a mode in the query before one in the form",
      { query: "hub.mode=register&hub.topic=q", body: "hub.mode=deregister&hub.topic=f" },
      { kind: "register", topic: "q" },
    ],
    [
      "parameters in the query without a mode, which are none",
      { query: "hub.topic=q&hub.foo=1", body: "hub.mode=register&hub.topic=f" },
      { kind: "register", topic: "f" },
    ],
    [
      "a mode whose name is escaped",
      { query: "hub%2emode=register&hub.topic=q" },
      { kind: "register", topic: "q" },
    ],
    [
      "the first of repeated parameters",
      { body: "hub.mode=register&hub.topic=a&hub.mode=deregister&hub.topic=b" },
      { kind: "register", topic: "a" },
    ],
  ];
  for (const [row, sent, expected] of ROWS) {
    it(`takes ${row} for ${expected.kind}`, () => assert.deepEqual(parse(sent), expected));
  }

  const PARTLY: readonly [row: string, sent: Sent, topics: readonly string[], wrong: RegExp][] = [
    [
      "a name",
      { body: `hub.mode=publish&hub.url=${E(T)}&hub.url=a` },
      [T],
      /^Not pinged: hub\.url "a" \(must be an http/,
    ],
    [
      "a name by hub.topic",
      { body: `hub.mode=publish&hub.topic=${E(T)}&hub.topic=a&x=1` },
      [T],
      /hub\.topic "a" \(must/,
    ],
    [
      "an empty one, and it comes first",
      { body: `hub.mode=publish&hub.url=&hub.url=${E(T)}` },
      [T],
      /hub\.url "" \(is empty/,
    ],
    [
      "an empty hub.topic",
      { body: `hub.mode=publish&hub.topic=&hub.url=${E(T)}&x=1` },
      [T],
      /hub\.topic "" \(is empty/,
    ],
    [
      "another scheme",
      { body: `hub.mode=publish&hub.topic=ftp://a/&hub.url=${E(T)}&x=1` },
      [T],
      /hub\.topic "ftp:\/\/a\/"/,
    ],
    [
      "a fragment",
      { body: `hub.mode=publish&hub.url=${E(`${T}#f`)}&hub.url=${E(T)}` },
      [T],
      /\(must not have a fragment/,
    ],
    ["no host", { body: `hub.mode=publish&hub.url=http://&hub.url=${E(T)}` }, [T], /"http:\/\/" \(has no valid host\)/],
    [
      "too long a URL",
      { body: `hub.mode=publish&hub.url=${T}${"x".repeat(2_048)}&hub.url=${E(T)}` },
      [T],
      /x…" \(is longer/,
    ],
    ["an event's name", { query: `hub.mode=publish&hub.topic=a&hub.topic=${E(T)}` }, [T], /hub\.topic "a"/],
    [
      "more than can be named",
      { body: `hub.mode=publish&hub.url=${E(T)}${"&hub.url=a".repeat(900)}` },
      [T],
      /and 897 more; all others were\.$/,
    ],
  ];
  for (const [row, sent, topics, wrong] of PARTLY) {
    it(`takes a ping of a URL and of ${row} for a ping of the URL, and says what is wrong`, () => {
      const parsed = parse(sent);
      assert.ok(parsed.kind === "ping");
      assert.deepEqual(parsed.topics, topics);
      assert.match(parsed.wrong ?? "", wrong);
      assert.match(parsed.wrong ?? "", /^[^\n]{1,600}\.$/, "one sentence, and not a long one");
    });
  }

  const REFUSED: readonly [row: string, sent: Sent, names: RegExp][] = [
    [
      "more parameters than there may be",
      { body: `hub.mode=publish${`&hub.url=${E(T)}`.repeat(1_000)}` },
      /more than 1000/,
    ],
    ["nothing at all", { type: null }, /hub\.mode .*Content-Type/],
    ["an empty form", {}, /hub\.mode is missing/],
    ["an empty mode", { body: "hub.mode=&hub.topic=a" }, /hub\.mode is empty/],
    ["an empty mode in the query", { query: "hub.mode=&hub.topic=a", body: "hub.mode=register" }, /hub\.mode is empty/],
    ["an unknown mode", { body: "hub.mode=Subscribe&hub.topic=a" }, /hub\.mode .*"Subscribe"/],
    ["an unknown mode in the query", { query: "hub.mode=x" }, /hub\.mode .*"x"/],
    ["H3 JSON", { type: "application/json", body: '{"hub.mode":"subscribe"}' }, /Content-Type/],
    ["H3 a form that says it is text", { type: "text/plain", body: "hub.mode=register&hub.topic=a" }, /Content-Type/],
    ["a body without a type that begins otherwise", { type: null, body: "topic=a&hub.mode=register" }, /Content-Type/],
    ["JSON without a type", { type: null, body: '{"hub.mode":"subscribe"}' }, /Content-Type/],
    ["the name of a parameter alone", { type: null, body: "hub.mode" }, /Content-Type/],
    ["a form without a type and without a mode", { type: null, body: "hub.topic=a" }, /hub\.mode is missing/],
    ["a form without a type that cannot be decoded", { type: null, body: "hub.mode=%ff" }, /hub\.mode is not percent/],
    ["subscribe in the query", { query: `hub.mode=subscribe&hub.topic=a&hub.callback=${E(T)}` }, /hub\.mode=subscribe/],
    ["register without a topic", { body: "hub.mode=register" }, /hub\.topic is missing/],
    ["a query publish without a topic", { query: "hub.mode=publish", body: "x", type: "a/b" }, /hub\.topic is missing/],
    ["the same without a body", { query: "hub.mode=publish" }, /hub\.topic is missing/],
    ["a form publish without a topic", { body: "hub.mode=publish&x=1" }, /hub\.topic is missing/],
    ["a form ping of a name", { body: "hub.mode=publish&hub.topic=a" }, /hub\.topic must be an http/],
    ["a form ping of a hub.url that is a name", { body: "hub.mode=publish&hub.url=a&x=1" }, /hub\.url must be an http/],
    ["a form ping of an empty hub.url", { body: "hub.mode=publish&hub.url=" }, /hub\.url is empty/],
    ["a form ping of no real URL", { body: "hub.mode=publish&hub.url=http://" }, /hub\.url has no valid host/],
    [
      "a form ping of nothing but names",
      { body: "hub.mode=publish&hub.url=a&hub.url=ftp://b/&hub.url=&hub.url=d" },
      /^Not pinged: hub\.url "a" \(must be .*\), .*"ftp:.*"" \(is empty.*and 1 more\.$/,
    ],
    [
      "MOSIP's notifyUpdate: a query publish of a name, without a body and type",
      { query: "hub.mode=publish&hub.topic=a", type: null },
      /hub\.topic "a" is a name, so there is nothing to fetch/,
    ],
    ["the same with a form's type", { query: "hub.mode=publish&hub.topic=a" }, /nothing to fetch/],
    ["the same with Ballerina's publish", { query: "hub.mode=publish&hub.topic=a", publisher: "publish" }, /fetch/],
    ["the same by hub.url", { query: "hub.mode=publish&hub.url=a" }, /nothing to fetch/],
    [
      "Ballerina's event in the form, of a name",
      { body: "hub.mode=publish&hub.topic=a", publisher: "event" },
      /nothing to fetch/,
    ],
    [
      "Ballerina's event in the query, of a name, whatever the body",
      { query: "hub.mode=publish&hub.topic=a", type: "application/json", body: "{}", publisher: "event" },
      /nothing to fetch/,
    ],
    ["an event without a topic", { body: "hub.mode=publish", publisher: "event" }, /hub\.topic is missing/],
    [
      "another publisher header",
      { body: "hub.mode=register&hub.topic=a", publisher: "Event" },
      /x-ballerina-publisher/,
    ],
    ["an empty publisher header", { body: "hub.mode=register&hub.topic=a", publisher: "" }, /x-ballerina-publisher/],
    ["an undecodable query", { query: "x=%ff", body: "hub.mode=register&hub.topic=a" }, /"x" is not percent-encoded/],
  ];
  for (const [row, sent, names] of REFUSED) it(`refuses ${row}`, () => assert.match(refusal(sent), names));
});

describe("WIRE a topic", () => {
  const register = (topic: string) => ({ body: encodeForm({ "hub.mode": "register", "hub.topic": topic }) });
  const TAKEN = [
    "a",
    "partner/EVENT",
    "orders:created",
    "urn:example:orders",
    "a b, é & 日本 100 %",
    "/relative",
    "HTTP://T.example:8080/%2F%7E?a=b",
    `http://t.example/${"x".repeat(2_031)}`,
    "é".repeat(1_024),
    "a%zz",
  ];
  for (const topic of TAKEN) {
    it(`may be ${topic.slice(0, 40)}`, () => assert.deepEqual(parse(register(topic)), { kind: "register", topic }));
  }
  const REFUSED = [
    ["", /hub\.topic is empty/],
    ["x".repeat(2_049), /hub\.topic is longer than 2048 bytes/],
    ["é".repeat(1_025), /hub\.topic is longer than 2048 bytes/],
    ["a\0b", /hub\.topic has a control character/],
    ["a\nb", /hub\.topic has a control character/],
    ["a\u007f", /hub\.topic has a control character/],
    ["a\u0085", /hub\.topic has a control character/],
    ["partner%2FEVENT", /hub\.topic is percent-encoded twice/],
    ["http://t.example/#f", /hub\.topic must not have a fragment/],
    ["http://", /hub\.topic has no valid host/],
    ["http:///x", /hub\.topic has no valid host/],
    ["http://t.example/a b", /hub\.topic has a character/],
    ["http://u:p@t.example/", /hub\.topic must not have credentials/],
    ["http://t.example:99999/", /hub\.topic has a port/],
    ["ftp://t.example/", /hub\.topic must be an http or https URL, or a name/],
    ["FILE:/etc/passwd", /hub\.topic must be an http or https URL, or a name/],
    ["javascript:alert(1)", /hub\.topic must be an http or https URL, or a name/],
  ] as const;
  for (const [topic, names] of REFUSED) {
    it(`may not be ${JSON.stringify(topic.slice(0, 40))}`, () => assert.match(refusal(register(topic)), names));
  }
});

describe("WIRE §2 a subscribe request", () => {
  const C = "https://c.example/cb?x=%20+";
  const subscribe = (more: Parameters = {}, without: readonly string[] = [], mode = "subscribe"): Sent => {
    const given = Array.isArray(more) ? more as [string, string][] : Object.entries(more);
    const overridden = new Set([...without, ...given.map(([name]) => name)]);
    const base = [["hub.mode", mode], ["hub.topic", T], ["hub.callback", C]] as const;
    return { body: encodeForm([...base.filter(([name]) => !overridden.has(name)), ...given]) };
  };
  const plain = { kind: "subscribe", topic: T, callback: C, leaseMs: RULES.leaseDefaultMs };

  it("H1 needs callback, mode and topic alone", () => assert.deepEqual(parse(subscribe()), plain));

  it("H9 ignores unknown parameters and every form of hub.verify", () => {
    const more: Parameters = [["foo", "bar"], ["hub.foo", "x"], ["hub.verify", "sync"], ["hub.verify", "junk"]];
    assert.deepEqual(parse(subscribe(more)), plain);
  });

  it("takes an empty lease, secret or verify token for one not sent", () => {
    const empty = { "hub.lease_seconds": "", "hub.secret": "", "hub.verify_token": "" };
    assert.deepEqual(parse(subscribe(empty)), plain);
  });

  it("H2 takes a secret, a verify token, a concurrency and a start", () => {
    const more = { "hub.secret": "é&+%=", "hub.verify_token": "t&", "hub.concurrency": "64", "hub.start": "earliest" };
    assert.deepEqual(parse(subscribe(more)), {
      ...plain,
      secret: "é&+%=",
      verifyToken: "t&",
      concurrency: 64,
      start: "earliest",
    });
  });

  const LEASES: readonly [sent: string, grantedMs: number][] = [
    ["3600", 3_600_000],
    ["1", RULES.leaseMinMs],
    ["9".repeat(40), RULES.leaseMaxMs],
    ["9".repeat(400), RULES.leaseMaxMs],
    ["0100", 100_000],
  ];
  for (const [sent, grantedMs] of LEASES) {
    it(`H5 grants ${grantedMs} ms when asked for ${sent.slice(0, 10)} s`, () => {
      assert.deepEqual(parse(subscribe({ "hub.lease_seconds": sent })), { ...plain, leaseMs: grantedMs });
    });
  }
  for (const lease of ["0", "00", "-1", "+1", "1.5", "abc", "1e3", " 1", "0x10", "١", "Infinity"]) {
    it(`H6 refuses a lease of ${lease}`, () => {
      assert.match(
        refusal(subscribe({ "hub.lease_seconds": lease })),
        /^hub\.lease_seconds must be a positive decimal/,
      );
    });
  }

  for (const signature of ["sha1", "sha256", "sha384", "sha512"]) {
    it(`H64 takes ${signature} for a hub.signature`, () => {
      assert.deepEqual(parse(subscribe({ "hub.signature": signature })), { ...plain, signature });
    });
  }
  for (const signature of ["", "md5", "SHA1", "sha-1", "sha1=", "__proto__"]) {
    it(`refuses ${JSON.stringify(signature)} for a hub.signature`, () => {
      assert.match(refusal(subscribe({ "hub.signature": signature })), /^hub\.signature must be one of sha1, sha256, /);
    });
  }

  it("WIRE §2 reads the hub's extensions in the query of its URL, and nothing else there", () => {
    const query =
      "hub.signature=sha1&hub.concurrency=4&hub.start=earliest&hub.secret=s&hub.lease_seconds=9&hub.topic=x";
    assert.deepEqual(parse({ ...subscribe({}), query }), {
      ...plain,
      signature: "sha1",
      concurrency: 4,
      start: "earliest",
    });
    assert.deepEqual(parse({ ...subscribe({ "hub.signature": "sha512" }), query: "hub.signature=sha1" }), {
      ...plain,
      signature: "sha512",
    });
    assert.match(refusal({ ...subscribe({}), query: "hub.signature=md5" }), /^hub\.signature must be one of/);
  });

  it("H7 ignores lease, secret, signature, start and concurrency on unsubscribe, whatever they say", () => {
    const more = {
      "hub.lease_seconds": "garbage",
      "hub.secret": "s".repeat(300),
      "hub.start": "?",
      "hub.concurrency": "-1",
      "hub.signature": "md5",
      "hub.verify_token": "t",
    };
    assert.deepEqual(parse(subscribe(more, [], "unsubscribe")), {
      kind: "unsubscribe",
      topic: T,
      callback: C,
      verifyToken: "t",
    });
  });

  it("H8 takes a secret of 199 bytes, and not of 200, and does not repeat it", () => {
    assert.equal(parse(subscribe({ "hub.secret": "s".repeat(199) })).kind, "subscribe");
    for (const secret of ["s".repeat(200), "é".repeat(100), "😀".repeat(50)]) {
      const sentence = refusal(subscribe({ "hub.secret": secret }));
      assert.match(sentence, /^hub\.secret must be shorter than 200 bytes/);
      assert.ok(!sentence.includes(secret));
    }
  });

  const STARTS = [
    "latest",
    "earliest",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123456789+05:30",
    "2026-01-02T03:04:05,5Z",
    "AbCd-_0123",
  ];
  for (const start of STARTS) {
    it(`takes ${start} for a start`, () => {
      assert.deepEqual(parse(subscribe({ "hub.start": start })), { ...plain, start });
    });
  }
  for (
    const start of [
      "",
      "now",
      "yesterday!",
      "2026-01-02",
      "2026-01-02T03:04:05",
      "2026-13-02T03:04:05Z",
      "2026-02-30T03:04:05Z",
      "a b",
    ]
  ) {
    it(`refuses ${JSON.stringify(start)} for a start`, () => {
      assert.match(refusal(subscribe({ "hub.start": start })), /^hub\.start must be/);
    });
  }
  for (const concurrency of ["", "0", "65", "-1", "1.5", "x", "1000"]) {
    it(`refuses ${JSON.stringify(concurrency)} for a concurrency`, () => {
      assert.match(refusal(subscribe({ "hub.concurrency": concurrency })), /^hub\.concurrency must be/);
    });
  }

  for (const name of ["hub.topic", "hub.callback"]) {
    it(`H4 refuses a missing and an empty ${name}`, () => {
      assert.match(refusal(subscribe({}, [name])), new RegExp(`^${name} is missing`));
      assert.match(refusal(subscribe({ [name]: "" })), new RegExp(`^${name} is empty`));
    });
  }

  const CALLBACKS = [
    "ftp://c.example/",
    "javascript:alert(1)",
    "/relative",
    "c.example/cb",
    "http://",
    "http:///cb",
    "//c.example/cb",
    "http://c.example/#f",
    "http://u@c.example/",
    "http://u:p@c.example/",
    "http://c.example/a b",
    "http://c.example/a\0b",
    "http://c.example/a\\b",
    "http://c.example:0/",
    "http://c.example:65536/",
    "http://c.example:22/",
    "http://[::1/",
    `http://c.example/${"x".repeat(2_048)}`,
    "http://10.0.0.1/",
    "http://2130706433:8080/",
    "http://[::ffff:192.168.0.1]:8080/",
    "http://localhost:8080/",
    "http://a.localhost/",
  ];
  for (const callback of CALLBACKS) {
    it(`H16 WIRE §2 refuses the callback ${JSON.stringify(callback.slice(0, 40))}`, () => {
      assert.match(refusal(subscribe({ "hub.callback": callback })), /^hub\.callback /);
    });
  }

  it("takes addresses that the guard's list opens, and keeps every callback byte for byte", () => {
    for (const callback of ["http://127.0.0.1:8080/cb", "http://LOCALHOST:8080", "https://c.example?x[]=%7e&&="]) {
      const parsed = parse(subscribe({ "hub.callback": callback }), ["127.0.0.0/8"]);
      assert.ok(parsed.kind === "subscribe" && parsed.callback === callback);
    }
  });
});
