// Requests for every route of the edge, as any stranger may send them. Most are valid but for something strange in one or two
// places.

import { type Route, ROUTES } from "../../edge/routes.ts";
import type { Random } from "../support/load/random.ts";
import { FAILED_PATH, failedSignature } from "../support/hub/failed-client.ts";
import { subscriberSignature } from "../support/hub/missed-client.ts";
import {
  type Draft,
  endpointOf,
  FORM,
  form,
  type Ground,
  type MakeRequest,
  METHODS,
  mostly,
  text,
  written,
} from "./drafts.ts";
import { STRANGE_TEXT } from "./strange.ts";
import type { PickToken } from "./tokens.ts";

export const EDGE_ENDPOINTS: readonly string[] = ROUTES.map(({ method, path }) => `${method} ${path}`);
const KNOWN: ReadonlySet<string> = new Set(EDGE_ENDPOINTS);
/** These need a token, or a subscriber's signature if they are about one subscription. */
const NEED_SECRET = endpointsThat(({ needs }) => needs === "secret");
const GUARDED = endpointsThat(({ needs }) => needs !== "nothing");
/** Failed content, by its subscription's signature alone. */
export const SIGNED_ENDPOINTS: readonly string[] = [...NEED_SECRET];
const SIGNED = endpointsThat(({ needs }) => needs === "subscription");
const TIMES = ["2026-01-01T00:00:00Z", "2020-02-30T00:00:00Z", "1999-12-31T23:59:59.123456789+01:00"];
const ENDING = ["unsubscribe", "deregister"];
/** The secret of most subscriptions, so that a signature can be right. */
const SECRET = "secret";

function endpointsThat(fit: (route: Route) => boolean): ReadonlySet<string> {
  return new Set(ROUTES.filter(fit).map(({ method, path }) => `${method} ${path}`));
}

/** `token` makes the credential of each request. */
export function edgeRequests(ground: Ground, token: PickToken): MakeRequest {
  return (random) => {
    const draft = draftOf(random, ground);
    if (random.chance(0.05)) draft.headers.push(["X-Forwarded-For", random.pick(STRANGE_TEXT)]);
    if (random.chance(0.05)) draft.headers.push(["ce-x", random.pick(STRANGE_TEXT)]);
    if (random.chance(0.02)) draft.method = random.pick(METHODS);
    const isSigned = draft.headers.some(([name]) => name === "X-Subscriber-Signature");
    const { credential, headers } = token(random);
    for (const [name, value] of headers) draft.headers.push([name, value]);
    const signature = signatureOf(random, draft);
    draft.headers.push(...signature.headers);
    const endpoint = endpointOf(draft, KNOWN);
    // The hub looks at a signature before it looks at a token.
    const needsSecret = NEED_SECRET.has(endpoint);
    const by = (needsSecret ? isSigned : signature.mayBeRight && SIGNED.has(endpoint)) ? "signed" : credential;
    const mayNot = GUARDED.has(endpoint) && by !== "signed" && (needsSecret || by !== "valid");
    return { ...written(random, draft), endpoint, credential: by, mayNot };
  };
}

function draftOf(random: Random, { callbacks, topics, cursors, ids }: Ground): Draft {
  const topic = () => mostly(random, random.pick(topics));
  const callback = () => mostly(random, random.pick(callbacks));
  const pair = (): [string, string][] => [["topic", topic()], ["callback", callback()]];
  const cursor = () => random.pick(random.chance(0.8) && cursors.length > 0 ? cursors : STRANGE_TEXT);
  const sometimes = (name: string, value: string): [string, string][] => random.chance(0.4) ? [[name, value]] : [];
  const under = random.pick(["", "/hub"]);
  const messages = (headers: [string, string][]): Draft => ({
    method: "GET",
    target: `${under}/messages?${
      text(random, [
        ...pair(),
        ...sometimes("after", cursor()),
        ...(random.chance(0.1) ? [["since", random.pick(TIMES)] as const] : []),
        ...sometimes("limit", random.chance(0.5) ? "10" : random.pick(STRANGE_TEXT)),
      ])
    }`,
    headers,
    body: undefined,
  });
  return random.pick<() => Draft>([
    // The hub's endpoint takes the most forms, so it stands here three times.
    ...Array<() => Draft>(3).fill(() => ({
      method: "POST",
      target: random.pick(["/hub", "/", "/hub/"]),
      headers: [["Content-Type", FORM]],
      body: form(random, [
        ...wish(random, topic),
        ["hub.callback", callback()],
        ...sometimes("hub.lease_seconds", random.pick(["60", "0", "-1", "1e3", "9".repeat(400)])),
        ...sometimes("hub.secret", mostly(random, SECRET)),
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
    () => ({ method: "GET", target: `${under}/subscriptions?${text(random, pair())}`, headers: [], body: undefined }),
    () => messages([]),
    // Streams of events.
    () => messages([["Accept", "text/event-stream"], ...sometimes("Last-Event-ID", cursor())]),
    () => ({
      method: "GET",
      target: `${under}/dead-letters?${
        text(random, [...pair(), ...sometimes("after", cursor()), ...sometimes("limit", "1")])
      }`,
      headers: [],
      body: undefined,
    }),
    () => failedContent(random, under + FAILED_PATH, topic(), callback()),
    ...Array<() => Draft>(2).fill(() => ({
      method: "POST",
      target: under + random.pick(["/subscriptions/ack", "/subscriptions/resume", "/dead-letters/replay"]),
      headers: [["Content-Type", FORM], ["Idempotency-Key", mostly(random, "key")]],
      body: form(random, [
        ...pair(),
        ["cursor", cursor()],
        ...sometimes("from", cursor()),
        ...sometimes("id", random.pick(random.chance(0.8) && ids.length > 0 ? ids : STRANGE_TEXT)),
      ]),
    })),
    () => ({
      method: random.pick(METHODS),
      target: random.pick([
        ...ROUTES.map(({ path }) => path),
        "/console",
        "/status/x",
        "/v1/operations",
        "/v1/session",
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
}

/** The call of MOSIP's client: half of them are signed, and many of those are right for some subscription. */
function failedContent(random: Random, path: string, topic: string, callback: string): Draft {
  const sometimes = (chance: number, right: string) => random.chance(chance) ? random.pick(STRANGE_TEXT) : right;
  const number = () => random.pick(["", "0", "1", "7", "1000", sometimes(0.3, "2")]);
  const [timestamp, pageindex, messageCount] = [sometimes(0.1, TIMES[2]!), number(), number()];
  const query = text(random, [
    ["topic", topic],
    ["callback", sometimes(0.1, Buffer.from(callback).toString(random.pick(["base64", "base64url"])))],
    ["timestamp", timestamp],
    ["pageindex", pageindex],
    ["messageCount", messageCount],
  ]);
  const signature = failedSignature({ topic, callback, timestamp, pageindex, messageCount }, SECRET);
  const headers: [string, string][] = random.chance(0.5) ? [["X-Subscriber-Signature", signature]] : [];
  return { method: "GET", target: `${path}?${query}`, headers, body: undefined };
}

/** Mostly a mode that creates something. A deregister rarely ends a topic that other requests use. */
function wish(random: Random, topic: () => string): [string, string][] {
  const mode = mostly(random, random.pick([...Array<string>(6).fill("subscribe"), "publish", "register", ...ENDING]));
  const spared = mode === "deregister" && random.chance(0.9);
  return [["hub.mode", mode], ["hub.topic", spared ? random.pick(STRANGE_TEXT) : topic()]];
}

/** Signs one request in three as a subscriber (WIRE §5): right for some subscriptions, too old, or not a signature. */
function signatureOf(
  random: Random,
  { method, target, body = Buffer.alloc(0) }: Draft,
): { readonly headers: [string, string][]; readonly mayBeRight: boolean } {
  const kind = random.unit();
  if (kind >= 0.33) return { headers: [], mayBeRight: false };
  if (kind >= 0.2) {
    return {
      headers: [
        ["X-Subscriber-Timestamp", random.pick([String(Math.floor(Date.now() / 1_000)), ...STRANGE_TEXT])],
        ["X-Subscriber-Signature", random.pick(["v1=AAAA", "v1=", "v2=AAAA", "v3=", ...STRANGE_TEXT])],
      ],
      mayBeRight: false,
    };
  }
  const old = kind >= 0.15;
  const timestamp = String(Math.floor(Date.now() / 1_000) - (old ? 3_600 : 0));
  return {
    headers: Object.entries(
      subscriberSignature(SECRET, { method, target, body, timestamp, version: random.pick(["v1", "v2"]) }),
    ),
    mayBeRight: !old,
  };
}

function bodyOf(random: Random): Buffer {
  if (random.chance(0.9)) return Buffer.from(random.pick(STRANGE_TEXT));
  // Some bodies are larger than a message may be.
  return Buffer.alloc(random.chance(0.3) ? 1_000_001 : random.integer(1, 200_000), "x");
}
