// Calls that a subscriber makes about its missed messages (WIRE §5): pages, events, dead letters, and the signatures for them.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { request as httpRequest } from "node:http";
import { eventually } from "../eventually.ts";
import { encodeForm } from "../form.ts";
import type { Parameters } from "../form.ts";
import { call } from "../servers/http.ts";
import type { Reply } from "../servers/http.ts";
import type { HubUnderTest } from "./hub.ts";

export interface Missed {
  readonly id: string;
  readonly cursor: string;
  readonly publishedAt: string;
  readonly contentType: string;
  readonly body?: string;
  readonly bodyBase64?: string;
}
export interface MissedPage {
  readonly messages: readonly Missed[];
  readonly next: string;
  readonly more: boolean;
}
export interface DeadLetterPage {
  readonly deadLetters: readonly {
    readonly id: string;
    readonly cursor: string;
    readonly reason: string;
    readonly status: number;
    readonly attempts: number;
    readonly firstAt: string;
    readonly lastAt: string;
  }[];
  readonly next: string;
  readonly more: boolean;
}

export type MissedPath = "/subscriptions" | "/messages" | "/dead-letters";
type Fields = Readonly<Record<string, string>>;

/** GET one of the paths for a pair, with more parameters; the answer as it came. */
export function ask(
  hub: HubUnderTest,
  path: MissedPath,
  pair: { readonly topic: string; readonly callback: string },
  more: Fields = {},
  headers: Fields = {},
): Promise<Reply> {
  return call(`${hub.base}${path}?${encodeForm({ topic: pair.topic, callback: pair.callback, ...more })}`, { headers });
}

/** One page of what a pair missed. */
export async function missedOf(
  hub: HubUnderTest,
  topic: string,
  callback: string,
  more: Fields = {},
): Promise<MissedPage> {
  const reply = await ask(hub, "/messages", { topic, callback }, more);
  assert.equal(reply.status, 200, reply.text);
  assert.match(reply.headers["content-type"] ?? "", /^application\/json/);
  return JSON.parse(reply.text) as MissedPage;
}

/** Pages through what a pair missed until there is no more. */
export async function allMissed(
  hub: HubUnderTest,
  topic: string,
  callback: string,
  more: Fields = {},
): Promise<Missed[]> {
  const found: Missed[] = [];
  for (let fields = more;;) {
    const page = await missedOf(hub, topic, callback, fields);
    found.push(...page.messages);
    if (!page.more) return found;
    fields = { ...more, after: page.next };
  }
}

export async function deadLettersOf(
  hub: HubUnderTest,
  topic: string,
  callback: string,
  more: Fields = {},
): Promise<DeadLetterPage> {
  const reply = await ask(hub, "/dead-letters", { topic, callback }, more);
  assert.equal(reply.status, 200, reply.text);
  return JSON.parse(reply.text) as DeadLetterPage;
}

/** What is signed. */
export interface ToSign {
  readonly method?: string;
  /** Path and query as in the request line. */
  readonly target: string;
  readonly body?: string | Uint8Array;
  readonly timestamp?: string;
  /** Default v1, which covers none of the headers below. */
  readonly version?: "v1" | "v2" | undefined;
  readonly idempotencyKey?: string;
  readonly lastEventId?: string;
  readonly events?: boolean;
}

/** The two headers that stand in the place of a token: M as WIRE §5 writes it, over what goes over the wire. */
export function subscriberSignature(
  secret: string,
  { method = "GET", target, body = "", timestamp = String(Math.floor(Date.now() / 1_000)), ...more }: ToSign,
): { "x-subscriber-timestamp": string; "x-subscriber-signature": string } {
  const { version = "v1", idempotencyKey = "", lastEventId = "", events = false } = more;
  const [path, query = ""] = target.split(/\?(.*)/s, 2);
  const hash = createHash("sha256").update(body).digest("hex");
  const headers = version === "v1" ? "" : `\n${idempotencyKey}\n${lastEventId}\n${events ? "text/event-stream" : ""}`;
  const text = `${method}\n${path}\n${query}\n${timestamp}\n${hash}${headers}`;
  const signature = createHmac("sha256", Buffer.from(secret, "utf8")).update(text).digest("base64");
  return { "x-subscriber-timestamp": timestamp, "x-subscriber-signature": `${version}=${signature}` };
}

/** GET with a signature by this secret; `spoil` changes what is sent after it was signed. */
export async function askSigned(
  hub: HubUnderTest,
  path: MissedPath,
  parameters: Parameters,
  secret: string,
  spoil: { readonly timestamp?: string; readonly signature?: (right: string) => string; readonly target?: string } = {},
): Promise<Reply> {
  const target = `${path}?${encodeForm(parameters)}`;
  const { timestamp } = spoil;
  const headers = subscriberSignature(secret, { target, ...(timestamp === undefined ? {} : { timestamp }) });
  const signature = spoil.signature?.(headers["x-subscriber-signature"]) ?? headers["x-subscriber-signature"];
  return await call(hub.base, {
    target: spoil.target ?? target,
    headers: { ...headers, "x-subscriber-signature": signature },
  });
}

export interface ReceivedEvent {
  readonly id: string;
  readonly message: Missed;
}

/** A stream of events as it came so far. */
export interface EventReader {
  readonly status: number;
  readonly contentType: string;
  readonly events: readonly ReceivedEvent[];
  /** Lines that begin with a colon. */
  readonly comments: number;
  readonly ended: boolean;
  /** Resolves with the first n events once they are there. */
  received(n: number, deadlineMs?: number): Promise<readonly ReceivedEvent[]>;
  /** Resolves when the hub has ended the stream. */
  untilEnded(deadlineMs?: number): Promise<void>;
  /** Hangs up. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Opens GET /messages as events and reads along. @throws {Error} if there is no answer within 10 s */
export function openEvents(
  hub: HubUnderTest,
  topic: string,
  callback: string,
  { more = {}, headers = {} }: { readonly more?: Fields; readonly headers?: Fields } = {},
): Promise<EventReader> {
  const url = `${hub.base}/messages?${encodeForm({ topic, callback, ...more })}`;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false, headers: { accept: "text/event-stream", ...headers } });
    const late = setTimeout(() => request.destroy(new Error("no answer within 10 s")), 10_000);
    request.on("error", reject);
    request.on("response", (response) => {
      clearTimeout(late);
      const events: ReceivedEvent[] = [];
      let [text, comments, ended] = ["", 0, false];
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        const blocks = (text + part).split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
          if (block.startsWith(":")) comments += 1;
          const found = /^id: (\S+)\ndata: ([^\n]+)$/.exec(block);
          if (found !== null) events.push({ id: found[1] ?? "", message: JSON.parse(found[2] ?? "") as Missed });
        }
      });
      response.on("error", () => {});
      response.on("close", () => void (ended = true));
      const seen = () => JSON.stringify(events);
      const close = () => void request.destroy();
      resolve({
        status: response.statusCode ?? 0,
        contentType: response.headers["content-type"] ?? "",
        events,
        get comments() {
          return comments;
        },
        get ended() {
          return ended;
        },
        received: (n, deadlineMs = 10_000) =>
          eventually(`${n} events of ${topic}`, () => events.length >= n && events.slice(0, n), { deadlineMs, seen }),
        untilEnded: async (deadlineMs = 10_000) =>
          void await eventually(`the end of the events of ${topic}`, () => ended, { deadlineMs, seen }),
        close,
        [Symbol.dispose]: close,
      });
    });
    request.end();
  });
}
