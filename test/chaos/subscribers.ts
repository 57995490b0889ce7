// What subscribers do while faults happen: they renew, leave, come back and misbehave.
import { pause } from "../support/eventually.ts";
import type { Random } from "../support/load/random.ts";
import type { Session } from "../support/load/session.ts";
import type { Manner } from "../support/load/manner.ts";
import type { Subscriber } from "../support/load/subscriber.ts";
import { isOpen, subscribe, unsubscribe } from "../support/load/wishes.ts";

const MANNERS: readonly Manner[] = ["slow", "failing", "refusing", "hanging", "cutting", "down"];

/** Renews, leaves, comes back and misbehaves while `running`. */
export async function liveAlong(
  session: Session,
  subscriber: Subscriber,
  random: Random,
  { trial, steady }: { readonly trial: number; readonly steady: () => boolean },
  running: () => boolean,
): Promise<void> {
  while (running()) {
    await pause(random.integer(40, 160));
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
  // The hub repeats a challenge for seconds if nobody answers it: a subscriber that expects one does not go down.
  if (manner === "down" && subscriber.pairs.some(isOpen)) return;
  await subscriber.behave(manner);
}

async function changeWish(session: Session, subscriber: Subscriber, random: Random, trial: number): Promise<void> {
  const pair = random.pick(subscriber.pairs);
  const wish = pair.wishes.at(-1);
  if (isOpen(pair) || (session.resting.get(pair) ?? 0) > trial) return;
  if (wish?.mode !== "subscribe") return await subscribe(session, pair);
  const what = random.unit();
  if (what < 0.45) await subscribe(session, pair);
  else if (what < 0.6) await subscribe(session, pair, wish.secret);
  else if (what < 0.82) {
    if (random.chance(0.15)) session.resting.set(pair, trial + 12);
    await unsubscribe(session, pair);
  } else subscriber.leaveSoon(pair);
}
