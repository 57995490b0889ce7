// The users of a simulated hub: subscribers that subscribe, renew, unsubscribe, answer 410, come back, ack and resume;
// publishers; registrars of topics. Each does one thing after the other; the seed decides what and when.
import type { OperationAnswer } from "../../shared/core-api.ts";
import { sealedFor } from "../support/keys.ts";
import type { Books, Pair } from "./books.ts";
import type { Edge } from "./edge.ts";
import type { Machine } from "./time/machine.ts";
import type { Plan } from "./plan.ts";
import type { Random } from "../support/load/random.ts";
import type { Manner } from "../support/load/manner.ts";
import type { Subscribers } from "./subscribers.ts";

export interface Actors {
  readonly machine: Machine;
  readonly edge: Edge;
  readonly books: Books;
  readonly subscribers: Subscribers;
  readonly plan: Plan;
  /** Whether all actors stop. */
  readonly isOver: () => boolean;
}

const MANNERS: readonly Manner[] = ["well", "well", "slow", "failing", "refusing", "hanging", "down", "deaf"];

/** One subscriber of a pair of topic and callback. Resolves when it has stopped. */
export async function subscriber(pair: Pair, actors: Actors, random: Random): Promise<void> {
  const { machine, edge, books, subscribers, plan, isOver } = actors;
  const secrets: string[] = [];
  subscribers.secrets.set(pair, secrets);
  let subscribed = false;

  /** Resolves to whether the hub has verified it. */
  async function intend(mode: "subscribe" | "unsubscribe"): Promise<boolean> {
    const id = edge.newId();
    const { topic, callback } = pair;
    const secret = `${pair.name}-${secrets.length}`;
    // The subscriber knows the secret before the hub may use it.
    if (mode === "subscribe") secrets.push(secret);
    const sealed = await sealedFor(topic, callback, secret);
    books.sealed.set(sealed, secret);
    const more = mode === "unsubscribe" ? {} : {
      secret: sealed,
      leaseMs: random.chance(plan.shortLeases) ? random.integer(5_000, 20_000) : 3_600_000,
      ...(random.chance(0.15) ? { concurrency: random.integer(2, 4) } : {}),
      ...(random.chance(0.2) ? { start: "earliest" } : {}),
    };
    const answer = await edge.operate({ kind: "intent", mode, topic, callback, ...more }, id);
    if (answer?.status !== 200 || !(answer.body as OperationAnswer & { kind: "intent" }).verify) return false;
    if (random.chance(plan.edgesDie)) {
      // A3.6: the edge that should verify it is gone, so the owner does so after 60 s.
      await machine.sleep(65_000);
      return true;
    }
    await machine.sleep(random.delay(50));
    const challengedAt = machine.now;
    const verified = random.chance(0.95);
    await machine.sleep(random.delay(20));
    const elapsedMs = Math.ceil(machine.now - challengedAt);
    const result = await edge.operate({ kind: "result", intent: id, mode, topic, callback, verified, elapsedMs });
    if (result?.status !== 200 || !verified) return false;
    // A3.11: any core that is asked next knows it too.
    if (mode === "subscribe") await edge.status(pair, plan.deregisters === 0);
    return true;
  }

  /** Answers 410 until the hub's status shows it. */
  async function beGone(): Promise<void> {
    subscribers.manners.set(pair, "gone");
    while (!isOver()) {
      await machine.sleep(random.between(200, 2_000));
      const status = await edge.status(pair);
      if (status?.state !== "active" && status?.state !== "parked") break;
    }
    subscribers.manners.set(pair, "well");
    subscribed = false;
  }

  async function move(): Promise<void> {
    const { topic, callback } = pair;
    const caller = { kind: "anyone" } as const;
    const status = await edge.status(pair);
    if (status?.cursor == null) return;
    if (random.chance(0.2)) {
      await edge.move({ kind: "replay", topic, callback, caller, key: `replay-${edge.newId()}` });
    } else if (random.chance(0.5)) await edge.move({ kind: "ack", topic, callback, caller, cursor: status.cursor });
    else if (random.chance(0.3)) await edge.move({ kind: "resume", topic, callback, caller });
    else {
      await edge.move({
        kind: "resume",
        topic,
        callback,
        caller,
        from: random.chance(0.3) ? "earliest" : status.cursor,
      });
    }
  }

  if (plan.required) await edge.operate({ kind: "register", topic: pair.topic });
  await machine.sleep(random.between(0, 1_500));
  while (!isOver()) {
    if (!subscribed) subscribed = await intend("subscribe") || subscribed;
    else {
      const chance = random.unit();
      if (chance < 0.4) subscribers.manners.set(pair, random.pick(MANNERS));
      else if (chance < 0.6) await intend("subscribe");
      else if (chance < 0.72) subscribed = !await intend("unsubscribe");
      else if (chance < 0.8) await beGone();
      else await move();
    }
    await machine.sleep(random.between(100, plan.pauseMs));
  }
}

/** Publishes to one topic: some messages have keys, and some of those are sent twice. */
export async function publisher(topic: string, actors: Actors, random: Random): Promise<void> {
  const { machine, edge, plan, isOver } = actors;
  const keys: { key: string; body: string }[] = [];
  let count = 0;
  const waiting = new Set<Promise<void>>();
  const { required } = plan;
  if (required) await edge.operate({ kind: "register", topic });
  while (!isOver()) {
    // Bursts, with silence between them.
    await machine.sleep(random.chance(0.05) ? random.between(500, 4_000) : random.delay(plan.publishMs));
    const body = `${topic} ${++count}`;
    let sent: Promise<void>;
    if (!random.chance(plan.keyed)) sent = edge.publish(topic, body, undefined, required);
    else if (keys.length > 0 && random.chance(0.4)) {
      const again = random.pick(keys);
      sent = edge.publish(topic, random.chance(0.8) ? again.body : body, again.key, required);
    } else {
      const key = `key-${count}`;
      keys.push({ key, body });
      sent = edge.publish(topic, body, key, required);
    }
    // The second may go through another core, before the first is answered.
    if (random.chance(plan.keyed / 4)) {
      const key = `twice-${count}`;
      sent = Promise.all([body, body].map((body) => edge.publish(topic, body, key, required))).then(() => {});
    }
    waiting.add(sent);
    void sent.finally(() => waiting.delete(sent));
    // Some publishes wait for all answers, some do not.
    if (random.chance(0.5) || waiting.size > 20) await Promise.all(waiting);
  }
  await Promise.all(waiting);
}

/** Sometimes ends a topic; the next publish begins it anew. */
export async function registrar(topic: string, actors: Actors, random: Random): Promise<void> {
  const { machine, edge, plan, isOver } = actors;
  await edge.operate({ kind: "register", topic });
  while (!isOver()) {
    await machine.sleep(random.between(1_000, plan.pauseMs * 4));
    if (!isOver() && !plan.required && random.chance(plan.deregisters)) {
      await edge.operate({ kind: "deregister", topic });
    }
  }
}
