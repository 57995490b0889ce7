// What publishers and subscribers do all the time, and what they do when it is time to finish.

import { request as httpRequest } from "node:http";
import { pause } from "../eventually.ts";
import { encodeForm } from "../form.ts";
import { type Book, type Message, noteMessage, type Pair, type Wish } from "./book.ts";
import { CALM_MS, faultWithin } from "./lives.ts";
import type { Random } from "../../chaos/random.ts";
import type { Session } from "./session.ts";
import { MANNERS, type Subscriber } from "./subscriber.ts";

const PATIENCE_MS = 90_000;
const ANSWER_DEADLINE_MS = 20_000;
const AGAIN_MS = 25;
/** A challenge that has not come by then is asked for again. */
const CHALLENGE_MS = 500;
const FORM = "application/x-www-form-urlencoded";

interface Reply {
  readonly status: number;
  readonly id: string | undefined;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

/** Publishes until `running` says no more, one message after the other. */
export async function publishAlong(
  session: Session,
  name: string,
  random: Random,
  running: () => boolean,
): Promise<void> {
  while (running()) {
    await publishUntilAccepted(session, name, random.pick(session.topics), "x".repeat(random.between(0, 600)));
    await pause(random.between(4, 20));
  }
}

/** Repeats on 503 and on lost connections; every try is a message of its own. @throws {Error} after 90 s */
export async function publishUntilAccepted(
  session: Session,
  name: string,
  topic: string,
  filling = "",
): Promise<Message> {
  const { book } = session;
  const query = encodeForm({ "hub.mode": "publish", "hub.topic": topic });
  const number = session.nextNumber();
  const until = performance.now() + PATIENCE_MS;
  for (let tries = 0;; tries += 1) {
    const key = `${name}.${number}.${tries}`;
    const message = noteMessage(book, key, topic, `${key} ${filling}`, performance.now());
    const reply = await send(session, `?${query}`, "text/plain", message.body);
    if (reply?.status === 200) {
      message.id = reply.id;
      message.ackedAt = performance.now();
      return message;
    }
    noteRefusal(book, `publishing ${key}`, reply, [503]);
    if (performance.now() > until) throw new Error(`Publishing ${key} was not accepted within ${PATIENCE_MS} ms`);
    await pause(AGAIN_MS);
  }
}

/** Renews, leaves, comes back and misbehaves until `running` says no more. */
export async function liveAlong(
  session: Session,
  subscriber: Subscriber,
  random: Random,
  { trial, steady }: { readonly trial: number; readonly steady: () => boolean },
  running: () => boolean,
): Promise<void> {
  while (running()) {
    await pause(random.between(40, 160));
    if (!running()) return;
    if (steady() || random.chance(0.45)) await changeManners(subscriber, random);
    else if (subscriber.manner() !== "down") await changeWish(session, subscriber, random, trial);
  }
}

async function changeManners(subscriber: Subscriber, random: Random): Promise<void> {
  if (subscriber.manner() !== "well") {
    await subscriber.behave("well");
    subscriber.release();
    return;
  }
  const manner = random.pick(MANNERS);
  // A challenge that finds nobody is repeated for seconds; who expects one stays.
  if (manner === "down" && subscriber.pairs.some(isOpen)) return;
  await subscriber.behave(manner);
}

async function changeWish(session: Session, subscriber: Subscriber, random: Random, trial: number): Promise<void> {
  const pair = random.pick(subscriber.pairs);
  const wish = pair.wishes.at(-1);
  if (isOpen(pair) || (session.resting.get(pair) ?? 0) > trial) return;
  if (wish?.mode !== "subscribe") return await subscribe(session, pair);
  const what = random.next();
  if (what < 0.45) await subscribe(session, pair);
  else if (what < 0.6) await subscribe(session, pair, wish.secret);
  else if (what < 0.82) {
    if (random.chance(0.15)) session.resting.set(pair, trial + 12);
    await make(session, pair, "unsubscribe", "");
  } else subscriber.leaveSoon(pair);
}

/** Subscribes or renews, with a new secret if none is given. */
export function subscribe(session: Session, pair: Pair, secret?: string): Promise<void> {
  return make(session, pair, "subscribe", secret);
}

async function make(session: Session, pair: Pair, mode: "subscribe" | "unsubscribe", secret?: string): Promise<void> {
  const number = session.nextWish();
  const wish: Wish = { number, mode, secret: secret ?? `secret ${number}`, madeAt: performance.now(), answeredAt: [] };
  pair.wishes.push(wish);
  await ask(session, pair, wish);
}

function isOpen(pair: Pair): boolean {
  const wish = pair.wishes.at(-1);
  return wish !== undefined && wish.mode !== "gone" && wish.answeredAt.length === 0;
}

/** Asks the hub until it says 202. */
async function ask(session: Session, pair: Pair, wish: Wish): Promise<void> {
  const { book } = session;
  const until = performance.now() + PATIENCE_MS;
  const form = encodeForm({
    "hub.mode": wish.mode,
    "hub.topic": pair.topic,
    "hub.callback": pair.callback,
    "hub.verify_token": String(wish.number),
    ...(wish.mode === "subscribe" ? { "hub.secret": wish.secret } : {}),
  });
  while (pair.wishes.at(-1) === wish) {
    const reply = await send(session, "", FORM, form);
    if (reply?.status === 202) return;
    noteRefusal(book, `wish ${wish.number} (${wish.mode})`, reply, [503, 429]);
    if (performance.now() > until) throw new Error(`Wish ${wish.number} was not accepted within ${PATIENCE_MS} ms`);
    await pause(AGAIN_MS);
  }
}

/** Makes sure that the hub knows what is wanted, now that nothing is broken: where a fault may have swallowed the yes, asks again. */
export async function settle(session: Session, pair: Pair, deadlineMs: number): Promise<boolean> {
  const until = performance.now() + deadlineMs;
  let askedAt = performance.now();
  for (;;) {
    const wish = pair.wishes.at(-1);
    if (wish === undefined || wish.mode === "gone") return true;
    const yesAt = wish.answeredAt.at(-1);
    if (yesAt !== undefined && isKnown(session, pair, wish, yesAt)) return true;
    const now = performance.now();
    if (now > until) return false;
    // An answer that nothing followed will not count; a challenge that did not come yet may still.
    if (yesAt !== undefined || now - askedAt > CHALLENGE_MS) {
      const before = wish.answeredAt.length;
      await ask(session, pair, wish);
      askedAt = performance.now();
      const waitUntil = performance.now() + CHALLENGE_MS;
      while (wish.answeredAt.length === before && performance.now() < waitUntil) await pause(5);
    } else await pause(5);
  }
}

function isKnown({ book }: Session, pair: Pair, wish: Wish, yesAt: number): boolean {
  if (!faultWithin(book, yesAt - CALM_MS, yesAt + CALM_MS)) return true;
  return wish.mode === "subscribe" &&
    pair.arrivals.some(({ at, signedWith }) => at > yesAt && signedWith === wish.secret);
}

/** WIRE §1: who is to come again is told when. */
function noteRefusal(book: Book, what: string, reply: Reply | undefined, passing: readonly number[]): void {
  if (reply === undefined || (passing.includes(reply.status) && reply.retryAfter !== undefined)) {
    book.refusals.push({ status: reply?.status, at: performance.now() });
  } else book.unexpected.push(`${what} was answered ${reply.status} ${reply.text}`);
}

/** One request on a kept connection, to the edge whose turn it is; undefined without a complete answer. */
function send({ agent, nextHub }: Session, query: string, type: string, body: string): Promise<Reply | undefined> {
  const url = `${nextHub().url}${query}`;
  return new Promise((resolve) => {
    const headers = { "content-type": type, "content-length": String(Buffer.byteLength(body)) };
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const request = httpRequest(url, { method: "POST", headers, agent, signal }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", () => resolve(undefined));
      response.on("close", () => resolve(undefined));
      response.on("end", () => {
        const id = response.headers["webhook-id"];
        resolve({
          status: response.statusCode ?? 0,
          id: typeof id === "string" ? id : undefined,
          retryAfter: response.headers["retry-after"],
          text: Buffer.concat(parts).toString("utf8"),
        });
      });
    });
    request.on("error", () => resolve(undefined));
    request.end(body);
  });
}
