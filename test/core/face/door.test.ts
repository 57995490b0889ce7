import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importJWK, SignJWT } from "jose";
import { createDoor, type Door, type DoorOptions, type DoorReason } from "../../../core/face/door.ts";
import { Refusal } from "../../../core/requests/refusal.ts";
import { createSessions, type Session } from "../../../edge/core/session.ts";
import { CALLER_HEADER, CORE_PATHS } from "../../../shared/core-api.ts";
import { createWebDigests } from "../../../shared/digests.ts";
import { type EdgeKey, makeEdgeKey } from "../../../shared/jwks.ts";
import { NODE_DIGESTS } from "../../../shared/runtime/digests.ts";
import { readTicket, SESSION_HEADER, type SessionTicket, writeTicket } from "../../../shared/session-api.ts";
import { BodyTooLargeError } from "../../../shared/request-body.ts";
import { EDGE_KEY, EDGES, SECRETS } from "../../support/keys.ts";

const ORIGIN = "http://core.example";
const STRANGER = await makeEdgeKey();

/** A door, and edges that talk to it without a network, on one clock. */
function openDoor(options: Partial<DoorOptions> = {}) {
  let now = 1_800_000_000_000;
  const refused: DoorReason[] = [];
  const tokens: string[] = [];
  const door = createDoor({
    edges: EDGES,
    sealingKeys: SECRETS.sealingKeys,
    clock: () => now,
    onRefused: (reason) => void refused.push(reason),
    ...options,
  });
  const sessionsOf = (key: EdgeKey, { aheadMs = 0, at = door, digests = NODE_DIGESTS } = {}) =>
    createSessions({
      key,
      digests,
      clock: () => now + aheadMs,
      http: {
        async send({ headers }) {
          tokens.push(headers["authorization"]!);
          return await replyOf(at, headers);
        },
      },
    });
  return { door, refused, tokens, sessionsOf, advance: (ms: number) => void (now += ms), now: () => now };
}

async function replyOf(door: Door, headers: Record<string, string>) {
  try {
    const answer = await door.open(new Request(`${ORIGIN}${CORE_PATHS.session}`, { method: "POST", headers }));
    return { status: 200, body: Buffer.from(JSON.stringify(answer)) };
  } catch (error) {
    assert.ok(error instanceof Refusal && error.code === "no_session");
    return { status: 401, body: Buffer.from(JSON.stringify({ code: error.code, message: error.message })) };
  }
}

const CONTENT = {
  method: "POST",
  path: "/v1/messages?a=%27",
  headers: { [CALLER_HEADER]: "%7B%7D", accept: "x", "content-type": "text/plain" },
  body: "the body",
} as const;
type Sent = Awaited<ReturnType<Session["sign"]>>;

function request({ method, path, headers, body }: Sent): Request {
  return new Request(ORIGIN + path, { method, headers, ...(body === undefined ? {} : { body: body as BodyInit }) });
}

async function admit(door: Door, sent: Sent, target: string | undefined = sent.path): Promise<string> {
  return Buffer.from(await door.admit(request(sent), target, 1_000)).toString();
}

/** Changes the ticket after it was signed. */
function withTicket(change: (ticket: SessionTicket) => SessionTicket): (sent: Sent) => Sent {
  return ({ headers, ...sent }) => {
    const ticket = change(readTicket(headers[SESSION_HEADER]!)!);
    return { ...sent, headers: { ...headers, [SESSION_HEADER]: writeTicket(ticket) } };
  };
}

function isRefused(error: unknown): boolean {
  return error instanceof Refusal && error.code === "no_session";
}

describe("the core's door (ARCHITECTURE §5)", () => {
  it("lets in what a known edge signed in its session, with either digest, whether or not the runtime tells the target", async () => {
    const { door, sessionsOf, refused } = openDoor();
    for (const digests of [NODE_DIGESTS, createWebDigests()]) {
      const session = await sessionsOf(EDGE_KEY, { digests }).with(ORIGIN, 1_000);
      assert.equal(await admit(door, await session.sign(CONTENT)), "the body");
      assert.equal(await admit(door, await session.sign(CONTENT), undefined), "the body");
      const question = {
        method: "GET",
        path: "/v1/subscriptions?topic=t",
        headers: { [CALLER_HEADER]: "%7B%7D" },
      } as const;
      assert.equal(await admit(door, await session.sign(question)), "");
      assert.equal(await admit(door, await session.sign({ ...CONTENT, body: "" })), "");
    }
    assert.deepEqual(refused, []);
  });

  it("opens no session for an unknown edge, and says so", async () => {
    const { sessionsOf, refused } = openDoor();
    await assert.rejects(sessionsOf(STRANGER).with(ORIGIN, 1_000), /is not known here; add .* TIDINGS_EDGE_KEYS/);
    // A stranger that uses a known edge's name.
    await assert.rejects(sessionsOf({ ...STRANGER, kid: EDGE_KEY.kid }).with(ORIGIN, 1_000), /signature/);
    assert.deepEqual(refused, ["unknown_edge", "bad_token"]);
  });

  it("opens one session for a token", async () => {
    const { door, sessionsOf, tokens, refused } = openDoor();
    await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const { status } = await replyOf(door, { authorization: tokens[0]! });
    assert.equal(status, 401);
    assert.deepEqual(refused, ["replayed"]);
  });

  it("opens no session for a token that is too old or of the future, nor a second one later for a used token", async () => {
    const { door, sessionsOf, tokens, refused, advance } = openDoor();
    for (const aheadMs of [-130_000, 130_000]) {
      await assert.rejects(sessionsOf(EDGE_KEY, { aheadMs }).with(ORIGIN, 1_000), /compare the clocks/);
    }
    await sessionsOf(EDGE_KEY, { aheadMs: 55_000 }).with(ORIGIN, 1_000);
    for (let second = 0; second < 400; second += 20) {
      advance(20_000);
      assert.equal((await replyOf(door, { authorization: tokens.at(-1)! })).status, 401);
    }
    assert.deepEqual(new Set(refused), new Set(["stale_clock", "replayed"]));
  });

  it("opens no session for anything but a token of this kind", async () => {
    const { door, now } = openDoor();
    const key = await importJWK(EDGE_KEY, "EdDSA");
    const token = (claims: object, audience = "tidings-core") =>
      new SignJWT({ iat: Math.floor(now() / 1_000), jti: "j", ...claims })
        .setProtectedHeader({ alg: "EdDSA", kid: EDGE_KEY.kid }).setAudience(audience).sign(key);
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    const hmac = await new SignJWT({ jti: "j" }).setProtectedHeader({ alg: "HS256", kid: EDGE_KEY.kid })
      .setIssuedAt().setAudience("tidings-core").sign(Buffer.from(EDGE_KEY.x));
    const wrong = [
      "",
      "x",
      "Bearer ",
      "Bearer x.y.z",
      `Bearer ${none}.e30.`,
      `Bearer ${hmac}`,
      `Bearer ${await token({}, "another")}`,
      `Bearer ${await token({ jti: undefined })}`,
      `Bearer ${await token({ jti: 7 })}`,
      `Bearer ${await token({ iat: undefined })}`,
    ];
    for (const authorization of wrong) {
      assert.equal((await replyOf(door, { authorization })).status, 401, authorization);
    }
    assert.equal((await replyOf(door, { authorization: `Bearer ${await token({})}` })).status, 200);
  });

  it("refuses what was altered: body, path, query, and every header that the core reads", async () => {
    const { door, sessionsOf, refused } = openDoor();
    const session = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const other = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const changed: ((sent: Sent) => Sent)[] = [
      (sent) => ({ ...sent, body: "The body" }),
      (sent) => ({ ...sent, body: "" }),
      (sent) => ({ ...sent, path: "/v1/operations?a=%27" }),
      (sent) => ({ ...sent, path: "/v1/messages" }),
      (sent) => ({ ...sent, path: "/v1/messages?a=%27&b" }),
      ...[CALLER_HEADER, "accept"].map((name) => (sent: Sent) => ({
        ...sent,
        headers: { ...sent.headers, [name]: `${sent.headers[name] ?? ""}2` },
      })),
      ...[CALLER_HEADER, "accept"].map((name) => (sent: Sent) => ({
        ...sent,
        headers: Object.fromEntries(Object.entries(sent.headers).filter(([other]) => other !== name)),
      })),
      withTicket((ticket) => ({ ...ticket, number: "77" })),
      withTicket((ticket) => ({ ...ticket, time: String(Number(ticket.time) + 1) })),
      withTicket((ticket) => ({ ...ticket, mac: "A".repeat(43) })),
    ];
    for (const change of changed) {
      await assert.rejects(admit(door, change(await session.sign(CONTENT))), isRefused, change.toString());
    }
    const [mine, theirs] = [await session.sign(CONTENT), await other.sign(CONTENT)];
    const { session: another } = readTicket(theirs.headers[SESSION_HEADER]!)!;
    await assert.rejects(admit(door, withTicket((ticket) => ({ ...ticket, session: another }))(mine)), isRefused);
    assert.deepEqual(new Set(refused), new Set(["altered"]));
    // None of the refused requests has used up its number.
    assert.equal(await admit(door, mine), "the body");
  });

  it("refuses a wrong ticket", async () => {
    const { door, sessionsOf, refused } = openDoor();
    const session = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const { headers, ...sent } = await session.sign(CONTENT);
    const right = headers[SESSION_HEADER]!;
    const wrong = [
      "",
      "...",
      "x",
      right.slice(1),
      right.slice(0, -1),
      `${right}.x`,
      `${right}=`,
      right.replace(".", " "),
    ];
    for (const ticket of wrong) {
      await assert.rejects(
        admit(door, { ...sent, headers: { ...headers, [SESSION_HEADER]: ticket } }),
        isRefused,
        ticket,
      );
    }
    const { [SESSION_HEADER]: _right, ...none } = headers;
    await assert.rejects(admit(door, { ...sent, headers: none }), isRefused);
    assert.deepEqual(new Set(refused), new Set(["no_session"]));
    assert.equal(await admit(door, { ...sent, headers }), "the body");
  });

  it("lets a request in once; a retry of its operation is a request of its own", async () => {
    const { door, sessionsOf, refused } = openDoor();
    const session = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const sent = await session.sign(CONTENT);
    const retry = await session.sign(CONTENT);
    assert.equal(await admit(door, retry), "the body");
    assert.equal(await admit(door, sent), "the body");
    const copies = await Promise.allSettled([admit(door, sent), admit(door, retry)]);
    assert.deepEqual(copies.map(({ status }) => status), ["rejected", "rejected"]);
    const atOnce = await session.sign(CONTENT);
    const both = await Promise.allSettled([admit(door, atOnce), admit(door, atOnce)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    assert.deepEqual(refused, ["replayed", "replayed", "replayed"]);
  });

  it("refuses requests signed more than a minute ago or ahead", async () => {
    const { door, sessionsOf, advance, refused } = openDoor();
    const session = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const [sent, early] = [await session.sign(CONTENT), await session.sign(CONTENT)];
    advance(59_000);
    assert.equal(await admit(door, early), "the body");
    advance(2_000);
    await assert.rejects(admit(door, sent), isRefused);
    advance(-122_000);
    await assert.rejects(
      admit(door, await session.sign(CONTENT).then((one) => ({ ...one, headers: sent.headers }))),
      isRefused,
    );
    assert.deepEqual(refused, ["stale_clock", "stale_clock"]);
  });

  it("refuses an expired session and another core's; an edge opens a new one in time", async () => {
    const { door, sessionsOf, advance, refused, tokens } = openDoor({ sessionMs: 120_000 });
    const sessions = sessionsOf(EDGE_KEY);
    const session = await sessions.with(ORIGIN, 1_000);
    assert.equal(await sessions.with(ORIGIN, 1_000), session);
    await assert.rejects(admit(openDoor().door, await session.sign(CONTENT)), isRefused);
    advance(100_000);
    const next = await sessions.with(ORIGIN, 1_000);
    assert.notEqual(next, session);
    assert.equal(tokens.length, 2);
    assert.equal(await admit(door, await next.sign(CONTENT)), "the body");
    advance(21_000);
    await assert.rejects(admit(door, await session.sign(CONTENT)), isRefused);
    assert.deepEqual(refused, ["no_session"]);
  });

  it("reads no body before it knows the session, and never more than the limit", async () => {
    const { door, sessionsOf } = openDoor();
    let read = 0;
    const body = new ReadableStream({ pull: (output) => (read++, output.enqueue(new Uint8Array(600))) }, {
      highWaterMark: 0,
    });
    const strange = new Request(`${ORIGIN}/v1/messages`, { method: "POST", body, duplex: "half" } as RequestInit);
    await assert.rejects(door.admit(strange, undefined, 1_000), isRefused);
    assert.equal(read, 0);
    const session = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const { method, headers } = await session.sign(CONTENT);
    const long = new Request(`${ORIGIN}/v1/messages`, { method, headers, body, duplex: "half" } as RequestInit);
    await assert.rejects(door.admit(long, undefined, 1_000), BodyTooLargeError);
    assert.ok(read <= 3);
  });

  it("§6.7 keeps a bounded number of sessions of one edge, and drops the oldest", async () => {
    const { door, sessionsOf } = openDoor();
    const first = await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000);
    const opened: Session[] = [];
    for (let count = 0; count < 256; count++) opened.push(await sessionsOf(EDGE_KEY).with(ORIGIN, 1_000));
    await assert.rejects(admit(door, await first.sign(CONTENT)), isRefused);
    assert.equal(await admit(door, await opened[0]!.sign(CONTENT)), "the body");
    assert.equal(await admit(door, await opened.at(-1)!.sign(CONTENT)), "the body");
  });
});
