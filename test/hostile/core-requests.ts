// Requests for every endpoint of the core, as a broken edge or a stranger on its network may send them: in a valid session, in
// one that has ended, in none, or in one that is nearly right.

import { randomBytes } from "node:crypto";
import { importJWK, SignJWT } from "jose";
import type { Session } from "../../edge/core/session.ts";
import { type ContentHead, frameContent } from "../../shared/content-frame.ts";
import { CALLER_HEADER, CORE_PATHS } from "../../shared/core-api.ts";
import type { EdgeKey } from "../../shared/jwks.ts";
import {
  readTicket,
  SESSION_ALGORITHM,
  SESSION_AUDIENCE,
  SESSION_HEADER,
  writeTicket,
} from "../../shared/session-api.ts";
import type { Random } from "../support/load/random.ts";
import { createTestSessions } from "../support/hub/core-caller.ts";
import { EDGE_KEY as ANOTHER_KEY } from "../support/keys.ts";
import {
  type Credential,
  type Draft,
  endpointOf,
  type FuzzRequest,
  type Ground,
  headerSafe,
  type MakeRequest,
  METHODS,
  mostly,
  text,
  written,
} from "./drafts.ts";
import { failedSignature } from "../support/hub/failed-client.ts";
import { STRANGE_JSON, STRANGE_TEXT } from "./strange.ts";

/** All endpoints of the core; the last two need no session. */
export const CORE_ENDPOINTS: readonly string[] = [
  `POST ${CORE_PATHS.session}`,
  `POST ${CORE_PATHS.operations}`,
  `POST ${CORE_PATHS.messages}`,
  `GET ${CORE_PATHS.messages}`,
  `POST ${CORE_PATHS.subscriptions}`,
  `GET ${CORE_PATHS.subscriptions}`,
  `GET ${CORE_PATHS.deadLetters}`,
  `GET ${CORE_PATHS.failedContent}`,
  "GET /healthz",
  "GET /readyz",
];
const KNOWN: ReadonlySet<string> = new Set(CORE_ENDPOINTS);
const OPEN: ReadonlySet<string> = new Set(CORE_ENDPOINTS.slice(-2));
/** A clock may not be this far off, ms. */
const STALE_MS = 600_000;
/** Requests in one session. Edges open one an hour, and the core remembers each for a while. */
const REQUESTS_OF_A_SESSION = 2_000;

/** Requests of one connection, which waits for each answer. `key` is the edge's key that the core knows. */
export function coreRequests(
  ground: Ground,
  { origin, key, index }: { readonly origin: string; readonly key: EdgeKey; readonly index: number },
): MakeRequest {
  let made = 0;
  let signed = 0;
  let skewMs = 0;
  const sessions = createTestSessions({ key, clock: () => Date.now() - skewMs });
  const strangers = new Map<string, string>();
  let last: FuzzRequest | undefined;

  /** A session that the core opened, with a right clock. */
  async function session(): Promise<Session> {
    const open = await sessions.with(origin, 10_000);
    if (++signed % REQUESTS_OF_A_SESSION === 0) sessions.forget(origin, open);
    return open;
  }

  /** Signs with a clock that is this far behind. It reads the clock before it waits. */
  function signBy(clockMs: number, by: Session, draft: Draft, headers: Record<string, string>) {
    skewMs = clockMs;
    try {
      const { method, target: path, body } = draft;
      return by.sign({ method: method as "GET" | "POST", path, headers, ...(body === undefined ? {} : { body }) });
    } finally {
      skewMs = 0;
    }
  }

  return async (random) => {
    // An eavesdropper sends it once more.
    if (last !== undefined && random.chance(0.05)) {
      const mayNot = last.endpoint !== "other" && !OPEN.has(last.endpoint);
      return { ...last, credential: last.credential === "valid" ? "stale" : last.credential, mayNot };
    }
    return last = await signedIn(random, draftOf(random, ground, () => `fuzz_${index}_${made++}`));
  };

  async function signedIn(random: Random, draft: Draft): Promise<FuzzRequest> {
    const endpoint = endpointOf(draft, KNOWN);
    const finish = (credential: Credential, sent: Draft): FuzzRequest => ({
      ...written(random, sent),
      endpoint,
      credential,
      mayNot: credential !== "valid" && !OPEN.has(endpoint),
    });
    if (endpoint === `POST ${CORE_PATHS.session}`) {
      const credential = random.pick<Credential>(["none", "stale", "forged", "broken", ...valid(0.3, random)]);
      const token = await edgeToken(credential, random);
      const headers: [string, string][] = token === undefined ? draft.headers : [["Authorization", token]];
      return finish(credential, { ...draft, headers });
    }
    if ((draft.method !== "GET" && draft.method !== "POST") || random.chance(0.05)) return finish("none", draft);
    const headers = Object.fromEntries(
      draft.headers.map(([name, value]) => [name.toLowerCase(), headerSafe(random, value)]),
    );
    const stale = random.chance(0.05);
    const by = await session();
    const { headers: pairs } = await signBy(stale ? STALE_MS : 0, by, draft, headers);
    if (stale) return finish("stale", { ...draft, headers: Object.entries(pairs) });
    const forge = random.unit();
    if (forge < 0.04) {
      return finish("broken", {
        ...draft,
        headers: Object.entries({ ...pairs, [SESSION_HEADER]: mostly(random, "a") }),
      });
    }
    if (forge < 0.12) {
      const ticket = readTicket(pairs[SESSION_HEADER]!)!;
      const part = random.pick(["session", "time", "number", "mac"] as const);
      const instead = {
        session: letters(random, 22),
        time: `${Date.now() + 1}`,
        number: `${Number(ticket.number) + 1}`,
      };
      const altered = writeTicket({ ...ticket, [part]: { ...instead, mac: letters(random, 43) }[part] });
      return finish("forged", { ...draft, headers: Object.entries({ ...pairs, [SESSION_HEADER]: altered }) });
    }
    if (forge < 0.15 && draft.body !== undefined) {
      const body = Buffer.concat([draft.body, Buffer.from(random.pick(["x", " ", "\0"]))]);
      return finish("forged", { ...draft, headers: Object.entries(pairs), body });
    }
    if (forge < 0.18) {
      const target = `${draft.target}${draft.target.includes("?") ? "&" : "?"}a`;
      return finish("forged", { ...draft, headers: Object.entries(pairs), target });
    }
    return finish("valid", { ...draft, headers: Object.entries(pairs) });
  }

  async function edgeToken(credential: Credential, random: Random): Promise<string | undefined> {
    const now = Math.floor(Date.now() / 1_000);
    switch (credential) {
      case "none":
        return undefined;
      case "valid":
        return `Bearer ${await tokenBy(key, key.kid, now)}`;
      case "stale":
        return random.pick([
          `Bearer ${await tokenBy(key, key.kid, now - STALE_MS / 1_000)}`,
          `Bearer ${await tokenBy(key, key.kid, now + STALE_MS / 1_000)}`,
        ]);
      case "forged": {
        const kind = random.pick(["known kid", "unknown kid", "audience"]);
        const [by, kid] = kind === "audience" ? [key, key.kid] : [ANOTHER_KEY, kind === "known kid" ? key.kid : "kid"];
        // Signatures are what costs most here, so many requests share one.
        const token = strangers.get(kind) ??
          await tokenBy(by, kid, now, kind === "audience" ? "hub" : SESSION_AUDIENCE);
        strangers.set(kind, token);
        return `Bearer ${token}`;
      }
      case "broken":
        return random.pick(["Bearer", "Bearer a.b.c", "Basic YTpi", ...STRANGE_TEXT.slice(0, 40)]);
    }
  }
}

function valid(chance: number, random: Random): Credential[] {
  return random.chance(chance) ? ["valid"] : [];
}

async function tokenBy(key: EdgeKey, kid: string, issuedAt: number, audience = SESSION_AUDIENCE): Promise<string> {
  return await new SignJWT()
    .setProtectedHeader({ alg: SESSION_ALGORITHM, kid })
    .setAudience(audience)
    .setIssuedAt(issuedAt)
    .setJti(randomBytes(16).toString("base64url"))
    .sign(await importJWK(key, SESSION_ALGORITHM));
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".split("");
const letters = (random: Random, length: number) => Array.from({ length }, () => random.pick(LETTERS)).join("");

function draftOf(random: Random, { callbacks, topics, cursors }: Ground, nextId: () => string): Draft {
  const topic = () => random.pick(topics);
  const callback = () => random.pick(callbacks);
  const head = () => ({ id: mostly(random, nextId()), madeAt: Date.now() });
  const pair = () => ({ topic: topic(), callback: callback() });
  const cursor = () => random.pick(random.chance(0.8) && cursors.length > 0 ? cursors : STRANGE_TEXT);
  const json = (path: string, value: unknown): Draft => ({
    method: "POST",
    target: path,
    headers: [["Content-Type", "application/json"]],
    body: Buffer.from(
      random.chance(0.03) ? JSON.stringify(value).slice(0, -random.integer(1, 9)) : JSON.stringify(value),
    ),
  });
  const client = {
    issuer: "https://issuer.example",
    userId: random.pick(["alice", "bob", ...STRANGE_TEXT]),
    ...(random.chance(0.5) ? { claim: random.pick(["sub", "preferred_username", ...STRANGE_TEXT]) } : {}),
    ...(random.chance(0.3) ? { name: random.pick(["alice", ...STRANGE_TEXT]) } : {}),
  };
  const caller = random.chance(0.6) ? { kind: "anyone" } : random.pick<unknown>([
    { kind: "client", ...client },
    { kind: "operator", ...client },
    { kind: "signature", method: "GET" },
    ...STRANGE_JSON,
  ]);
  const callerHeader = (): [string, string] => [
    CALLER_HEADER,
    encodeURIComponent(JSON.stringify(caller)),
  ];
  const query = () =>
    text(random, [
      ["topic", mostly(random, topic())],
      ["callback", mostly(random, callback())],
      ...(random.chance(0.3)
        ? [[random.pick(["after", "since", "limit", "lastEventId"]), cursor()] as [string, string]]
        : []),
    ]);
  return random.pick<() => Draft>([
    () => json(CORE_PATHS.operations, broken(random, { kind: "register", ...head(), topic: topic(), client })),
    () => {
      const ending = random.chance(0.9) ? random.pick(STRANGE_TEXT) : topic();
      return json(CORE_PATHS.operations, broken(random, { kind: "deregister", ...head(), topic: ending }));
    },
    () => json(CORE_PATHS.operations, broken(random, { kind: "ping", ...head(), topics: [topic()] })),
    () =>
      json(
        CORE_PATHS.operations,
        broken(random, { kind: "intent", ...head(), mode: "subscribe", ...pair(), leaseMs: 60_000, client }),
      ),
    () =>
      json(
        CORE_PATHS.operations,
        broken(random, { kind: "intent", ...head(), mode: "subscribe", ...pair(), leaseMs: 60_000, secret: "s" }),
      ),
    () =>
      json(
        CORE_PATHS.operations,
        broken(random, {
          kind: "result",
          ...head(),
          intent: "x",
          mode: "subscribe",
          ...pair(),
          verified: true,
          elapsedMs: 1,
        }),
      ),
    () =>
      json(
        CORE_PATHS.subscriptions,
        broken(random, {
          kind: random.pick(["ack", "resume", "replay"]),
          ...head(),
          ...pair(),
          caller,
          cursor: cursor(),
          key: "k",
        }),
      ),
    () => ({
      method: "POST",
      target: CORE_PATHS.messages,
      headers: [],
      body: mangled(
        random,
        frameContent(
          broken(random, {
            id: mostly(random, nextId()),
            madeAt: Date.now(),
            topic: mostly(random, topic()),
            contentType: mostly(random, "text/plain"),
            ...(random.chance(0.3) ? { key: random.pick(STRANGE_TEXT) } : {}),
            ...(random.chance(0.3) ? { headers: random.pick(STRANGE_JSON) } : {}),
            ...(random.chance(0.3) ? { client } : {}),
          }) as ContentHead,
          Buffer.from(random.pick(STRANGE_TEXT)),
        ),
      ),
    }),
    ...[CORE_PATHS.subscriptions, CORE_PATHS.messages, CORE_PATHS.messages, CORE_PATHS.deadLetters].map(
      (path) => () => ({
        method: "GET",
        target: `${path}?${query()}`,
        headers: [
          callerHeader(),
          ...(random.chance(0.4) ? [["Accept", "text/event-stream"] as [string, string]] : []),
        ],
        body: undefined,
      }),
    ),
    ...Array.from({ length: 3 }, () => () => failedContent(random, topic(), random.pick(callbacks))),
    () => ({ method: "POST", target: CORE_PATHS.session, headers: [], body: undefined }),
    () => ({
      method: random.pick(METHODS),
      target: random.pick([
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/",
        "/v2/operations",
        "/console",
        ...Object.values(CORE_PATHS),
      ]),
      headers: [callerHeader()],
      body: undefined,
    }),
  ])();
}

/** Asks for failed content; most are signed with the secret of most subscriptions, and few get further than that. */
function failedContent(random: Random, topic: string, callback: string): Draft {
  const timestamp = random.chance(0.8) ? "2026-01-01T00:00:00Z" : random.pick(STRANGE_TEXT);
  const signature = failedSignature({ topic, callback, timestamp }, random.chance(0.8) ? "secret" : "other");
  const signed = `${topic}${callback}${timestamp}`;
  const caller = broken(random, { kind: "text", text: signed, signature });
  const number = (name: string, right: string): [string, string][] =>
    random.chance(0.3) ? [[name, random.chance(0.6) ? right : random.pick(STRANGE_TEXT)]] : [];
  return {
    method: "GET",
    target: `${CORE_PATHS.failedContent}?${
      text(random, [
        ["topic", topic],
        ["callback", callback],
        ["timestamp", timestamp],
        ...number("pageindex", "0"),
        ...number("messageCount", "5"),
      ])
    }`,
    headers: [[CALLER_HEADER, encodeURIComponent(JSON.stringify(caller) ?? "")]],
    body: undefined,
  };
}

/** One time in five, cuts the frame short or changes a byte of its head. */
function mangled(random: Random, frame: Uint8Array): Buffer {
  if (random.chance(0.1)) return Buffer.from(frame.subarray(0, random.integer(0, frame.length)));
  const bytes = Buffer.from(frame);
  if (random.chance(0.1)) bytes[random.integer(0, Math.min(200, bytes.length - 1))] = random.integer(0, 255);
  return bytes;
}

/** Half of the time, gives it a strange value, takes a field away or adds one. */
function broken(random: Random, operation: Record<string, unknown>): unknown {
  if (random.chance(0.5)) return operation;
  if (random.chance(0.05)) return random.pick(STRANGE_JSON);
  const field = random.pick(Object.keys(operation));
  const { [field]: _dropped, ...rest } = operation;
  if (random.chance(0.2)) return rest;
  return { ...rest, [random.chance(0.9) ? field : random.pick(STRANGE_TEXT)]: random.pick(STRANGE_JSON) };
}
