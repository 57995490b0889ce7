// Requests for every endpoint of edge and core, most of them nearly right: a valid one with something strange in one or two
// places. Seeded, so that what fails once fails again.

import type { Session } from "../../edge/session.ts";
import { type ContentHead, frameContent } from "../../shared/content-frame.ts";
import { CALLER_HEADER, CORE_PATHS } from "../../shared/core-api.ts";
import { readTicket, SESSION_HEADER, writeTicket } from "../../shared/session-api.ts";
import type { Random } from "../chaos/random.ts";
import type { RawRequest } from "./raw-client.ts";
import { STRANGE_JSON, STRANGE_TEXT } from "./strange.ts";

export interface Ground {
  /** A callback that confirms, and one that does not. */
  readonly callbacks: readonly string[];
  readonly topics: readonly string[];
}

export type MakeRequest = (random: Random) => RawRequest | Promise<RawRequest>;

interface Draft {
  method: string;
  target: string;
  headers: [string, string][];
  body: Buffer | undefined;
}

const FORM = "application/x-www-form-urlencoded";
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];
const TIMES = ["2026-01-01T00:00:00Z", "2020-02-30T00:00:00Z", "1999-12-31T23:59:59.123456789+01:00"];
const TOKENS = [
  "Bearer",
  "Bearer ",
  "Bearer x",
  "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
  "Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uLyJ9.eyJleHAiOjF9.AAAA",
  "Basic YWRtaW46YWRtaW4=",
  "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
  "Bearer a.b.c.d.e",
];

/** Requests to the edge, as any stranger may send them. */
export function edgeRequests({ callbacks, topics }: Ground): MakeRequest {
  return (random) => {
    const topic = () => mostly(random, random.pick(topics));
    const callback = () => mostly(random, random.pick(callbacks));
    const pair = (): [string, string][] => [["topic", topic()], ["callback", callback()]];
    const cursor = () => random.pick([...STRANGE_TEXT, "AbcdEfgh1234", "AQAAAAAAAAAAAAAAAAAA"]);
    const sometimes = (name: string, value: string): [string, string][] => random.chance(0.4) ? [[name, value]] : [];
    const draft: Draft = random.pick<() => Draft>([
      // The hub, by far the widest door: three times.
      ...Array<() => Draft>(3).fill(() => ({
        method: "POST",
        target: random.pick(["/hub", "/", "/hub/"]),
        headers: [["Content-Type", FORM]],
        body: form(random, [
          ["hub.mode", mostly(random, random.pick(["subscribe", "unsubscribe", "publish", "register", "deregister"]))],
          ["hub.topic", topic()],
          ["hub.callback", callback()],
          ...sometimes("hub.lease_seconds", random.pick(["60", "0", "-1", "1e3", "9".repeat(400)])),
          ...sometimes("hub.secret", mostly(random, "secret")),
          ...sometimes("hub.verify_token", random.pick(STRANGE_TEXT)),
          ...sometimes("hub.start", random.pick(["latest", "earliest", ...TIMES, cursor()])),
          ...sometimes("hub.concurrency", random.pick(["1", "64", "65", "0", "x"])),
          ...sometimes("hub.url", topic()),
        ]),
      })),
      () => ({
        method: "POST",
        target: `/hub?${text(random, [["hub.mode", mostly(random, "publish")], ["hub.topic", topic()]])}`,
        headers: [["Content-Type", mostly(random, "application/json")], ...sometimes("Idempotency-Key", cursor())],
        body: bodyOf(random),
      }),
      () => ({
        method: "GET",
        target: `/subscriptions?${text(random, pair())}`,
        headers: signed(random),
        body: undefined,
      }),
      () => ({
        method: "GET",
        target: `/messages?${
          text(random, [...pair(), ...sometimes("after", cursor()), ...sometimes("limit", random.pick(STRANGE_TEXT))])
        }`,
        headers: signed(random),
        body: undefined,
      }),
      () => ({
        method: "GET",
        target: `/dead-letters?${text(random, [...pair(), ...sometimes("after", cursor()), ["limit", "1"]])}`,
        headers: signed(random),
        body: undefined,
      }),
      () => ({
        method: "POST",
        target: random.pick(["/subscriptions/ack", "/subscriptions/resume", "/dead-letters/replay"]),
        headers: [["Content-Type", FORM], ["Idempotency-Key", mostly(random, "key")], ...signed(random)],
        body: form(random, [
          ...pair(),
          ["cursor", cursor()],
          ...sometimes("from", cursor()),
          ...sometimes("id", cursor()),
        ]),
      }),
      () => ({
        method: random.pick(METHODS),
        target: random.pick([
          "/",
          "/hub",
          "/healthz",
          "/readyz",
          "/hub/actuator/health",
          "/console",
          "/status/x",
          "/v1/operations",
        ]),
        headers: [],
        body: undefined,
      }),
      () => ({
        method: "GET",
        target: `/${encodeURIComponent(random.pick(STRANGE_TEXT))}`,
        headers: [],
        body: undefined,
      }),
    ])();
    if (random.chance(0.2)) draft.headers.push(["Authorization", random.pick(TOKENS)]);
    if (random.chance(0.05)) draft.headers.push(["Cookie", `Authorization=${random.pick(TOKENS)}`]);
    if (random.chance(0.05)) draft.headers.push(["X-Forwarded-For", random.pick(STRANGE_TEXT)]);
    if (random.chance(0.05)) draft.headers.push(["ce-x", random.pick(STRANGE_TEXT)]);
    if (random.chance(0.02)) draft.method = random.pick(METHODS);
    return written(random, draft);
  };
}

/** Requests to the core, as an edge gone mad, or somebody else on its network, may send them: in its session, or nearly. */
export function coreRequests({ callbacks, topics }: Ground, session: Pick<Session, "sign">): MakeRequest {
  let made = 0;
  let last: RawRequest | undefined;
  return (random) => {
    const topic = () => random.pick(topics);
    const callback = () => random.pick(callbacks);
    const head = () => ({ id: mostly(random, `fuzz_${made++}`), madeAt: Date.now() });
    const pair = () => ({ topic: topic(), callback: callback() });
    const json = (path: string, value: unknown): Draft => ({
      method: "POST",
      target: path,
      headers: [["Content-Type", "application/json"]],
      body: Buffer.from(
        random.chance(0.03) ? JSON.stringify(value).slice(0, -random.between(1, 9)) : JSON.stringify(value),
      ),
    });
    const caller = random.pick<unknown>([{ kind: "anyone" }, { kind: "signature", method: "GET" }, ...STRANGE_JSON]);
    const callerHeader: [string, string] = [CALLER_HEADER, encodeURIComponent(JSON.stringify(caller))];
    const query = () => text(random, [["topic", mostly(random, topic())], ["callback", mostly(random, callback())]]);
    const draft: Draft = random.pick<() => Draft>([
      () => json(CORE_PATHS.operations, broken(random, { kind: "register", ...head(), topic: topic() })),
      () => json(CORE_PATHS.operations, broken(random, { kind: "deregister", ...head(), topic: topic() })),
      () => json(CORE_PATHS.operations, broken(random, { kind: "ping", ...head(), topics: [topic()] })),
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
            cursor: "x",
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
              id: mostly(random, `fuzz_${made++}`),
              madeAt: Date.now(),
              topic: mostly(random, topic()),
              contentType: mostly(random, "text/plain"),
              key: random.pick(STRANGE_TEXT),
              headers: random.pick(STRANGE_JSON),
            }) as ContentHead,
            Buffer.from(random.pick(STRANGE_TEXT)),
          ),
        ),
      }),
      ...[CORE_PATHS.subscriptions, CORE_PATHS.messages, CORE_PATHS.deadLetters].map((path) => () => ({
        method: "GET",
        target: `${path}?${query()}`,
        headers: [callerHeader],
        body: undefined,
      })),
      () => ({
        method: random.pick(METHODS),
        target: random.pick([
          "/",
          "/healthz",
          "/readyz",
          "/v1/",
          "/v2/operations",
          "/console",
          ...Object.values(CORE_PATHS),
        ]),
        headers: [callerHeader],
        body: undefined,
      }),
    ])();
    // Somebody who listened sends it once more.
    if (last !== undefined && random.chance(0.05)) return Promise.resolve(last);
    return signedIn(random, draft).then((request) => last = request);
  };

  async function signedIn(random: Random, draft: Draft): Promise<RawRequest> {
    const { method, target, body } = draft;
    if ((method !== "GET" && method !== "POST") || random.chance(0.05)) return written(random, draft);
    const headers = Object.fromEntries(
      draft.headers.map(([name, value]) => [name.toLowerCase(), headerSafe(random, value)]),
    );
    const signed = await session.sign({ method, path: target, headers, ...(body === undefined ? {} : { body }) });
    const pairs = Object.entries(signed.headers);
    // Forged, stale, of another number, or for something else.
    if (random.chance(0.05)) pairs.push([SESSION_HEADER, random.pick(STRANGE_TEXT)]);
    if (random.chance(0.08)) {
      const part = random.pick(["session", "time", "number", "mac"] as const);
      for (const pair of pairs) {
        if (pair[0] !== SESSION_HEADER) continue;
        const ticket = readTicket(pair[1])!;
        pair[1] = writeTicket({ ...ticket, [part]: mostly(random, String(Date.now() - 600_000)) });
      }
    }
    const altered = random.chance(0.03) ? Buffer.from(random.pick(STRANGE_TEXT)) : body;
    return written(random, { method, target, headers: pairs, body: altered });
  }
}

function bodyOf(random: Random): Buffer {
  if (random.chance(0.9)) return Buffer.from(random.pick(STRANGE_TEXT));
  // One in a hundred is more than a message may be.
  return Buffer.alloc(random.chance(0.1) ? 1_000_001 : random.between(1, 200_000), "x");
}

/** Cut short, or with another byte in its head, one time in five. */
function mangled(random: Random, frame: Uint8Array): Buffer {
  if (random.chance(0.1)) return Buffer.from(frame.subarray(0, random.between(0, frame.length)));
  const bytes = Buffer.from(frame);
  if (random.chance(0.1)) bytes[random.between(0, Math.min(200, bytes.length - 1))] = random.between(0, 255);
  return bytes;
}

function mostly(random: Random, value: string): string {
  return random.chance(0.8) ? value : random.pick(STRANGE_TEXT);
}

/** With a strange value, a missing field or one too many, half of the time. */
function broken(random: Random, operation: Record<string, unknown>): unknown {
  if (random.chance(0.5)) return operation;
  if (random.chance(0.05)) return random.pick(STRANGE_JSON);
  const field = random.pick(Object.keys(operation));
  const { [field]: _dropped, ...rest } = operation;
  if (random.chance(0.2)) return rest;
  return { ...rest, [random.chance(0.9) ? field : random.pick(STRANGE_TEXT)]: random.pick(STRANGE_JSON) };
}

function signed(random: Random): [string, string][] {
  if (random.chance(0.7)) return [];
  return [
    ["X-Subscriber-Timestamp", random.pick([String(Math.floor(Date.now() / 1_000)), ...STRANGE_TEXT])],
    ["X-Subscriber-Signature", random.pick(["v1=AAAA", "v1=", ...STRANGE_TEXT])],
  ];
}

function text(random: Random, parameters: readonly (readonly [string, string])[]): string {
  const encode = (value: string) =>
    random.chance(0.95) ? encodeURIComponent(value.toWellFormed()) : encodeURI(value.toWellFormed());
  return parameters.map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
}

function form(random: Random, parameters: readonly (readonly [string, string])[]): Buffer {
  const encoded = text(random, parameters);
  // Raw bytes where text is expected, now and then.
  return random.chance(0.97) ? Buffer.from(encoded) : Buffer.from(`${encoded}&\u00ff\u00fe=\u0000`, "latin1");
}

/** A request in its bytes. Its framing is right but for one in two hundred, so that connections last. */
function written(random: Random, { method, target, headers, body }: Draft): RawRequest {
  const length = body?.length ?? (method === "GET" || method === "HEAD" ? undefined : 0);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    "Host: hub.example",
    ...headers.map(([name, value]) => `${name}: ${headerSafe(random, value)}`),
    ...(length === undefined
      ? []
      : [`Content-Length: ${random.chance(0.995) ? length : random.pick(["-1", "x", "9".repeat(30)])}`]),
  ];
  const bytes = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body ?? Buffer.alloc(0)]);
  return { bytes, head: method === "HEAD" };
}

/** What would end the header is taken out, but for one in a hundred. */
function headerSafe(random: Random, value: string): string {
  return random.chance(0.99) ? value.replace(/[\r\n\0]/g, "").slice(0, 4_000) : value.slice(0, 4_000);
}
