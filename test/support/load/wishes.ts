// What subscribers ask the hub for, until it knows and has delivered all of it.
import { pause } from "../eventually.ts";
import { encodeForm } from "../form.ts";
import type { Message, Pair, Wish } from "./book.ts";
import { CALM_MS, faultWithin } from "./lives.ts";
import { AGAIN_MS, noteRefusal, PATIENCE_MS, post } from "./post.ts";
import { publishUntilAccepted } from "./publisher.ts";
import type { Session } from "./session.ts";

/** The subscriber asks again if no challenge came in this time. */
const CHALLENGE_MS = 500;
const FORM = "application/x-www-form-urlencoded";

/** Subscribes every pair. A session calls it once, before its load. */
export async function begin(session: Session): Promise<void> {
  await Promise.all(session.book.pairs.map((pair) => subscribe(session, pair)));
  await finish(session, 30_000);
}

/** Subscribes or renews, with a new secret if none is given. */
export function subscribe(session: Session, pair: Pair, secret?: string): Promise<void> {
  return make(session, pair, "subscribe", secret);
}

export function unsubscribe(session: Session, pair: Pair): Promise<void> {
  return make(session, pair, "unsubscribe", "");
}

async function make(session: Session, pair: Pair, mode: "subscribe" | "unsubscribe", secret?: string): Promise<void> {
  const number = session.nextWish();
  const wish: Wish = { number, mode, secret: secret ?? `secret ${number}`, madeAt: performance.now(), answeredAt: [] };
  pair.wishes.push(wish);
  await ask(session, pair, wish);
}

/** Whether the newest wish still waits for the subscriber's yes. */
export function isOpen(pair: Pair): boolean {
  const wish = pair.wishes.at(-1);
  return wish !== undefined && wish.mode !== "gone" && wish.answeredAt.length === 0;
}

/** Asks the hub until it answers 202. */
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
    const reply = await post(session, "", FORM, form);
    if (reply?.status === 202) return;
    noteRefusal(book, `wish ${wish.number} (${wish.mode})`, reply, [503, 429]);
    if (performance.now() > until) throw new Error(`Wish ${wish.number} was not accepted within ${PATIENCE_MS} ms`);
    await pause(AGAIN_MS);
  }
}

/** Makes sure that the hub knows the newest wish. It asks again if a fault may have swallowed the yes; call it when nothing is broken. */
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
    // A yes that nothing followed does not count. A challenge may still come.
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

/** Lets every subscriber answer well, and waits until the hub knows every wish and has delivered everything, up to one last message of each topic. */
export async function finish(session: Session, deadlineMs: number): Promise<void> {
  const { subscribers, book } = session;
  const until = performance.now() + deadlineMs;
  while (session.down.size > 0 && performance.now() < until) await pause(5);
  for (const subscriber of subscribers) {
    for (const pair of subscriber.pairs) subscriber.stay(pair);
    await subscriber.behave("well");
    subscriber.release();
  }
  await Promise.all(book.pairs.map((pair) => settle(session, pair, deadlineMs)));
  const last = new Map<string, Message>();
  await Promise.all(session.topics.map(async (topic) => {
    last.set(topic, await publishUntilAccepted(session, "last", topic));
  }));
  const waiting = new Set(book.pairs.filter((pair) => pair.wishes.at(-1)?.mode === "subscribe"));
  while (waiting.size > 0 && performance.now() < until) {
    for (const pair of waiting) {
      const { key } = last.get(pair.topic)!;
      // §6.3: the last message is tried when all before it are done.
      const came = pair.arrivals.findLast((arrival) => arrival.key === key && arrival.answeredAt !== undefined);
      if (came !== undefined || pair.wishes.at(-1)?.mode === "gone") waiting.delete(pair);
    }
    await pause(5);
  }
}
