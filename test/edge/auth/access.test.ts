import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  ACCESS_TABLE,
  type AccessName,
  NEED_OF,
  openAccess,
  publicAccess,
  tokenAccess,
} from "../../../edge/auth/access.ts";
import { createEdge } from "../../../edge/edge.ts";
import type { EdgeOptions } from "../../../edge/edge.ts";
import { ROUTES } from "../../../edge/routes.ts";
import { failedQuery } from "../../support/hub/failed-client.ts";
import { openEdge, type OwnEdge } from "../../support/rigs/edge.ts";
import { type FakeCore, openFakeCore } from "../../support/rigs/fake-core.ts";
import { encodeForm } from "../../support/form.ts";
import { call, type Reply } from "../../support/servers/http.ts";
import { exchangeRaw } from "../../support/servers/raw-http.ts";
import { createSigningKey, type Issuer, openIssuer } from "../../support/servers/issuer.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";
import { openTokenAccess, type OwnTokenAccess } from "../../support/rigs/token-access.ts";

const FORM = "application/x-www-form-urlencoded";
const TOPIC = "https://news.example/feed";
const CALLBACK = "http://127.0.0.1:9999/callback";

/** One request of each kind that there is, by the column of the access table that it falls under. */
type Kind = keyof typeof NEED_OF | "query ping" | "status" | "messages" | "dead letters" | "ack" | "resume" | "replay";
const PAIR = encodeForm({ topic: TOPIC, callback: CALLBACK });
const posted = (path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) => ({
  path,
  options: { body: encodeForm(parameters), headers: { "content-type": FORM, ...headers } },
});
const hub = (mode: string, more: Record<string, string> = {}) =>
  posted("/hub", { "hub.mode": mode, "hub.topic": TOPIC, ...more });
const REQUESTS: Readonly<Record<Kind, ReturnType<typeof posted>>> = {
  register: hub("register"),
  deregister: hub("deregister"),
  content: {
    path: `/?${encodeForm({ "hub.mode": "publish", "hub.topic": TOPIC })}`,
    options: { body: "x", headers: { "content-type": "text/plain" } },
  },
  ping: hub("publish"),
  "query ping": {
    path: `/hub?${encodeForm({ "hub.mode": "publish", "hub.topic": TOPIC })}`,
    options: { body: "", headers: { "content-type": FORM } },
  },
  subscribe: hub("subscribe", { "hub.callback": CALLBACK }),
  unsubscribe: hub("unsubscribe", { "hub.callback": CALLBACK }),
  status: { path: `/subscriptions?${PAIR}`, options: {} as never },
  messages: { path: `/messages?${PAIR}`, options: {} as never },
  "dead letters": { path: `/dead-letters?${PAIR}`, options: {} as never },
  ack: posted("/subscriptions/ack", { topic: TOPIC, callback: CALLBACK, cursor: "c" }),
  resume: posted("/subscriptions/resume", { topic: TOPIC, callback: CALLBACK }),
  replay: posted("/dead-letters/replay", { topic: TOPIC, callback: CALLBACK }, { "idempotency-key": "k" }),
};
const HUB_KINDS: readonly Kind[] = [
  "register",
  "deregister",
  "content",
  "ping",
  "query ping",
  "subscribe",
  "unsubscribe",
];
const MOVES: readonly Kind[] = ["ack", "resume", "replay"];
const KINDS = Object.keys(REQUESTS) as Kind[];
const SIGNED = { "x-subscriber-timestamp": "1", "x-subscriber-signature": `v1=${"A".repeat(43)}=` };

let core: FakeCore;
let issuer: Issuer;
let tokens: OwnTokenAccess;
const edges = {} as Record<AccessName, OwnEdge>;
before(async () => {
  [core, issuer] = await Promise.all([openFakeCore(), openIssuer()]);
  tokens = openTokenAccess({ ISSUER: issuer.url });
  const accesses = { open: openAccess, public: publicAccess, token: tokenAccess(tokens) };
  for (const name of ["open", "public", "token"] as const) {
    edges[name] = await openEdge([core.origin], { access: accesses[name] });
  }
  core.onStatus = () => ({ status: 200, body: { state: "active" } });
  core.onQuestion = ({ path }) =>
    path === "/v1/messages" || path === "/v1/dead-letters" ? { status: 200, body: { messages: [] } } : null;
});
after(async () => {
  await Promise.all(Object.values(edges).map((edge) => edge.close()));
  await Promise.all([core.close(), issuer.close(), tokens.close()]);
});

async function send(access: AccessName, kind: Kind, headers: Record<string, string> = {}): Promise<Reply> {
  const { path, options } = REQUESTS[kind];
  return await call(`${edges[access].url}${path}`, { ...options, headers: { ...options.headers, ...headers } });
}
const bearer = async (claims: Parameters<Issuer["token"]>[0] = {}) => ({
  authorization: `Bearer ${await issuer.token(claims)}`,
});
const passed = ({ status }: Reply) => status >= 200 && status < 300;
/** What has reached the core so far; no refused request may add to it. */
const reached = () => core.operations.length + core.contents.length + core.questions.length + core.moves.length;

describe("WIRE §6 every route of the edge", () => {
  it("stands in the table, once, and nothing else answers", () => {
    const nothing = { probes: {} } as EdgeOptions;
    const metrics = { counter: () => ({ inc: () => {} }) } as unknown as EdgeOptions["metrics"];
    const { routes } = createEdge({ ...nothing, metrics, compactJson: [], messageMaxBytes: 1 });
    const named = ROUTES.map(({ method, path }) => `${method} ${path}`);
    assert.equal(new Set(named).size, named.length);
    const answering = routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(answering.toSorted(), named.toSorted());
    const paths = new Set(ROUTES.map(({ path }) => path));
    for (const { method, path } of routes) assert.ok(method !== "ALL" || paths.has(path), `ALL ${path}`);
  });

  it("asks for what its row says: with ACCESS=token and no token it is 401, unless it needs nothing", async () => {
    const requests = reached();
    for (const { method, path, needs } of ROUTES) {
      const query = method !== "GET"
        ? ""
        : needs === "subscription"
        ? `?${PAIR}`
        : needs === "secret"
        ? `?${failedQuery({ topic: TOPIC, callback: CALLBACK })}`
        : "";
      const body = encodeForm({
        "hub.mode": "register",
        "hub.topic": TOPIC,
        topic: TOPIC,
        callback: CALLBACK,
        cursor: "c",
      });
      const options = method === "POST"
        ? { body, headers: { "content-type": FORM, "idempotency-key": "k" } }
        : { method };
      const { status } = await call(`${edges.token.url}${path}${query}`, options);
      assert.equal(status === 401, needs !== "nothing", `${method} ${path}: ${status}`);
    }
    assert.equal(reached(), requests, "and the core hears nothing of it");
  });
});

describe("WIRE §6 the access table", () => {
  it("open: tokens are not looked at, not even wrong or different ones", async () => {
    const wrong = { authorization: "Bearer wrong, Bearer other", cookie: "Authorization=a.b.c" };
    for (const kind of KINDS) assert.ok(passed(await send("open", kind, wrong)), kind);
  });

  it("public: register, deregister and content are 403, pings and intents are for all", async () => {
    for (const kind of HUB_KINDS) {
      const reply = await send("public", kind, await bearer({ scope: "websub:publish" }));
      const denied = ["register", "deregister", "content"].includes(kind);
      assert.equal(reply.status === 403, denied, `${kind}: ${reply.status}`);
      assert.equal(passed(reply), !denied);
      if (denied) assert.match(reply.text, /^hub\.mode=denied&hub\.reason=.+/);
    }
  });

  it("public: a subscription is asked for and moved by its signature only", async () => {
    for (const kind of KINDS.filter((other) => !HUB_KINDS.includes(other))) {
      const token = await bearer({ scope: "websub:subscribe", realm_access: { roles: ["websub:operate"] } });
      const reply = await send("public", kind, token);
      assert.deepEqual([reply.status, reply.headers["www-authenticate"]], [401, "Bearer"], kind);
      assert.ok(passed(await send("public", kind, SIGNED)), kind);
    }
  });

  it("token: the publish right for what publishes, the subscribe right for the rest", async () => {
    const [publisher, subscriber] = [
      await bearer({ scope: "websub:publish" }),
      await bearer({ scope: "websub:subscribe" }),
    ];
    for (const kind of KINDS) {
      const publishing = ["register", "deregister", "content", "ping", "query ping"].includes(kind);
      const replies = [await send("token", kind, publisher), await send("token", kind, subscriber)];
      assert.deepEqual(replies.map(passed), [publishing, !publishing], kind);
      assert.equal(replies[publishing ? 1 : 0]!.status, 403, kind);
    }
  });

  it("token: a ping needs the right for each of its topics", async () => {
    const headers = { "content-type": FORM, ...await bearer({ scope: `websub:publish:${TOPIC}` }) };
    const ping = (...urls: string[]) =>
      call(`${edges.token.url}/hub`, {
        body: encodeForm([["hub.mode", "publish"], ...urls.map((url) => ["hub.url", url] as const)]),
        headers,
      });
    assert.equal((await ping(TOPIC)).status, 204);
    assert.equal((await ping(TOPIC, "https://other.example/feed")).status, 403);
  });

  it("has a column for every kind of request", () => {
    for (const name of ["open", "public", "token"] as const) {
      for (const need of Object.values(NEED_OF)) assert.ok(need in ACCESS_TABLE[name]);
    }
  });
});

describe("WIRE §1 what the edge answers about tokens", () => {
  it("none: 401 and the bare challenge; a wrong one: 401 and error=; the right one without the right: 403", async () => {
    const cases: [Record<string, string>, number, RegExp][] = [
      [{}, 401, /^Bearer$/],
      [
        { authorization: "Bearer wrong" },
        401,
        /^Bearer error="invalid_token", error_description="[^"]*not a JWT[^"]*"$/,
      ],
      [{ authorization: "Basic YTpi" }, 401, /^Bearer error="invalid_token", error_description="Authorization carries/],
      [await bearer({ exp: 1 }), 401, /^Bearer error="invalid_token", error_description="[^"]*expired[^"]*"$/],
      [
        await bearer({ aud: ['a\\"\u00e9'] }),
        401,
        /^Bearer [^"]*"[^"]*", error_description="[^"\\\u00e9]*audience[^"\\\u00e9]*"$/,
      ],
      [await bearer(), 403, /^Bearer error="insufficient_scope", error_description="[^"]*it needs the scope[^"]*"$/],
    ];
    for (const [headers, status, challenge] of cases) {
      for (const kind of KINDS) {
        const before = reached();
        const reply = await send("token", kind, headers);
        assert.equal(reply.status, status, kind);
        assert.match(String(reply.headers["www-authenticate"]), challenge, kind);
        assert.equal(reached(), before, `${kind}: the core hears nothing of it`);
        if (HUB_KINDS.includes(kind)) {
          assert.equal(reply.headers["content-type"], FORM);
          assert.match(reply.text, /^hub\.mode=denied&hub\.reason=[^&\s]+$/);
        } else assert.match(reply.text, /^[^\n]+\n$/);
      }
    }
  });

  it("a token in a cookie is called that", async () => {
    const refused: [Promise<string>, RegExp][] = [
      [issuer.token({ exp: 1 }), /^The access token in the cookie has expired/],
      [issuer.token(), /^The access token in the cookie may not /],
      [Promise.resolve("a.b.c"), /^The access token in the cookie is not a JWT/],
    ];
    for (const [token, sentence] of refused) {
      const { text } = await send("token", "register", { cookie: `Authorization=${await token}` });
      assert.match(new URLSearchParams(text).get("hub.reason")!, sentence);
    }
    const token = await issuer.token({ exp: 1 });
    const both = { authorization: `Bearer ${token}`, cookie: `Authorization=${token}` };
    assert.match((await send("token", "status", both)).text, /^The access token has expired/);
  });

  it("every refusal is counted by its reason, and logged once with what was seen and what was expected", async () => {
    const logger = keepLines();
    const own = openTokenAccess({ ISSUER: issuer.url, AUDIENCE: "hub" }, { logger });
    const edge = await openEdge([core.origin], { access: tokenAccess(own) });
    const authorized = async (token: string | Promise<string>) => ({ authorization: `Bearer ${await token}` });
    const inAnHour = Math.floor(Date.now() / 1_000) + 3_600;
    const sent: [reason: string, headers: Record<string, string>][] = [
      ["missing", {}],
      ["malformed", await authorized("wrong")],
      ["cookie", { cookie: `Authorization=${await issuer.token()}`, origin: "https://a.example" }],
      ["issuer", await authorized(issuer.token({ iss: "https://b.example" }))],
      ["audience", await authorized(issuer.token({ aud: "account", azp: "partner" }))],
      [
        "signature",
        await authorized(issuer.token({}, { key: await createSigningKey(), header: { kid: issuer.keys[0]!.kid } })),
      ],
      ["expired", await authorized(issuer.token({ exp: 1 }))],
      ["not_yet_valid", await authorized(issuer.token({ nbf: inAnHour }))],
      [
        "algorithm",
        await authorized(
          `${btoa('{"alg":"HS256"}')}.${btoa(JSON.stringify({ iss: issuer.url })).replace(/=+$/, "")}.AAAA`,
        ),
      ],
      ["claims", await authorized(issuer.token({ sub: "" }))],
      ["scope", await authorized(issuer.token())],
    ];
    const { path, options } = REQUESTS.register;
    for (let round = 0; round < 3; round++) {
      for (const [reason, headers] of sent) {
        const { status } = await call(`${edge.url}${path}`, {
          ...options,
          headers: { ...options.headers, ...headers },
        });
        assert.equal(status, reason === "scope" ? 403 : 401, reason);
      }
    }
    const metrics = await own.metrics();
    await edge.close();
    await own.close();
    for (const [reason] of sent) {
      assert.match(
        metrics,
        new RegExp(`tidings_tokens_total\\{outcome="refused",reason="${reason}",tier="edge"\\} 3\n`),
      );
    }
    assert.deepEqual(
      logger.lines.map((line) => /^warn .*, reason (\w+): /.exec(line)?.[1]),
      sent.map(([reason]) => reason),
    );
    const audience = logger.lines[4]!;
    for (const part of [`iss "${issuer.url}"`, 'aud "account"', 'azp "partner"', "TIDINGS_AUDIENCE (hub)"]) {
      assert.ok(audience.includes(part), `${part} in ${audience}`);
    }
    for (const [, { authorization = "none" }] of sent.slice(3)) {
      const [, payload, signature] = authorization.split(".");
      for (const part of [payload, signature]) assert.ok(!logger.lines.join().includes(part!), "no part of a token");
    }
  });

  it("403 says what is missing", async () => {
    const reply = await send("token", "subscribe", await bearer({ scope: "websub:publish" }));
    const reason = new URLSearchParams(reply.text).get("hub.reason");
    assert.match(reason!, /subscribe to "https:\/\/news\.example\/feed"; it needs the scope or role websub:subscribe/);
  });

  it("different tokens in two places: 400; the same one from a page's cookie: 401", async () => {
    const [one, two] = [await issuer.token(), await issuer.token({ sub: "other" })];
    const different = { authorization: `Bearer ${one}`, cookie: `Authorization=${two}` };
    assert.equal((await send("token", "register", different)).status, 400);
    const scope = "websub:publish";
    const cookie = `Authorization=${await issuer.token({ scope })}`;
    assert.ok(passed(await send("token", "register", { cookie })));
    assert.equal((await send("token", "register", { cookie, origin: "https://evil.example" })).status, 401);
    assert.ok(passed(await send("token", "register", { authorization: await issuer.token({ scope }) })), "bare");
  });

  it("a header that was sent twice is seen twice", async () => {
    const [one, two] = [await issuer.token({ scope: "websub:publish" }), await issuer.token({ scope: "x" })];
    const body = encodeForm({ "hub.mode": "register", "hub.topic": TOPIC });
    const answerTo = async (...tokens: string[]) => {
      const lines = tokens.map((token) => `Authorization: Bearer ${token}\r\n`).join("");
      return await exchangeRaw(
        edges.token.port,
        `POST /hub HTTP/1.1\r\nHost: hub\r\nContent-Type: ${FORM}\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`,
      );
    };
    assert.equal((await answerTo(one)).status, 200);
    assert.equal((await answerTo(one, one)).status, 200);
    assert.equal((await answerTo(one, two)).status, 400);
    assert.equal((await answerTo(two, one)).status, 400);
  });

  it("size and syntax come first, then the token, then the policy, then the topic", async () => {
    const post = (body: string, headers: Record<string, string>, path = "/hub") =>
      call(`${edges.token.url}${path}`, { body, headers: { "content-type": FORM, ...headers } });
    const publish = `/hub?${encodeForm({ "hub.mode": "publish", "hub.topic": TOPIC })}`;
    assert.equal((await post("x".repeat(1_000_001), { "content-type": "text/plain" }, publish)).status, 413);
    assert.equal((await post("hub.mode=register", {})).status, 400);
    assert.equal((await post("x", { "content-type": "text/plain", "idempotency-key": "é" }, publish)).status, 400);
    assert.equal((await post("topic=t&callback=http://a", {}, "/subscriptions/ack")).status, 400);
    core.onOperation = () => ({ status: 404, body: { code: "not_found", message: "no such topic" } });
    try {
      assert.equal((await send("token", "deregister")).status, 401);
      assert.equal((await send("token", "deregister", await bearer())).status, 403);
      assert.equal((await send("token", "deregister", await bearer({ scope: "websub:publish" }))).status, 404);
    } finally {
      core.onOperation = () => null;
    }
  });

  it("503 with Retry-After while the keys cannot be fetched: MOSIP would throw its token away on 401", async () => {
    const ill = await openIssuer("/ill");
    const own = openTokenAccess({ ISSUER: ill.url });
    const edge = await openEdge([core.origin], { access: tokenAccess(own) });
    try {
      ill.onKeys = (_, response) => void response.writeHead(503).end();
      const authorization = `Bearer ${await ill.token({ scope: "websub:publish" })}`;
      const { path, options } = REQUESTS.register;
      const reply = await call(`${edge.url}${path}`, { ...options, headers: { ...options.headers, authorization } });
      assert.equal(reply.status, 503);
      assert.match(String(reply.headers["retry-after"]), /^[1-5]$/);
    } finally {
      await edge.close();
      await Promise.all([own.close(), ill.close()]);
    }
  });
});

describe("WIRE §6 what the core is told of who asks", () => {
  const identity = (userId: string) => ({ issuer: issuer.url, userId, claim: "sub" });

  it("nothing where nobody has to show a token", async () => {
    for (const access of ["open", "public"] as const) {
      await send(access, "subscribe");
      assert.equal("client" in core.operations.at(-1)!, false, access);
    }
  });

  it("the issuer and user id of the client that publishes or subscribes", async () => {
    const headers = await bearer({ scope: "websub:publish websub:subscribe", sub: "é" });
    await send("token", "subscribe", headers);
    const operation = core.operations.at(-1)!;
    assert.ok(operation.kind === "intent");
    assert.deepEqual(operation.client, identity("é"));
    await send("token", "content", headers);
    assert.deepEqual(core.contents.at(-1)?.client, identity("é"));
    await send("open", "content");
    assert.equal(core.contents.at(-1)?.client, null);
  });

  it("a client that may subscribe to the topic, an operator, or a signature", async () => {
    const operator = await bearer({ realm_access: { roles: ["websub:operate"] }, sub: "operator" });
    const subscriber = await bearer({ scope: `websub:subscribe:${TOPIC}`, sub: "s" });
    for (const kind of KINDS.filter((other) => !HUB_KINDS.includes(other))) {
      const callerOf = async (headers: Record<string, string>) => {
        assert.ok(passed(await send("token", kind, headers)), kind);
        return (MOVES.includes(kind) ? core.moves : core.questions).at(-1)!.caller;
      };
      assert.deepEqual(await callerOf(subscriber), { kind: "client", ...identity("s") }, kind);
      assert.deepEqual(await callerOf(operator), { kind: "operator", ...identity("operator") }, kind);
      assert.equal((await callerOf(SIGNED)).kind, "signature", kind);
      assert.equal((await callerOf({ ...SIGNED, ...subscriber })).kind, "signature", kind);
    }
  });

  it("the scope websub:operate is not a role, and gives no right", async () => {
    assert.equal((await send("token", "status", await bearer({ scope: "websub:operate" }))).status, 403);
  });
});

describe("WIRE §5 events", () => {
  it("end when the token does", async () => {
    const events = new ReadableStream<Uint8Array>({
      start: (output) => output.enqueue(new TextEncoder().encode("retry: 2000\n\n")),
    });
    core.onQuestion = ({ accept }) =>
      accept === "text/event-stream"
        ? new Response(events, { headers: { "content-type": "text/event-stream" } })
        : null;
    const exp = Math.floor(Date.now() / 1_000) + 2;
    const headers = { accept: "text/event-stream", ...await bearer({ scope: "websub:subscribe", exp }) };
    const reply = await send("token", "messages", headers);
    assert.deepEqual([reply.status, reply.text], [200, "retry: 2000\n\n"]);
    assert.ok(Date.now() >= exp * 1_000, "not before");
    core.onQuestion = () => null;
  });
});
