// Subscribers: what stands behind the callbacks. They take messages, fail, hang, vanish, say that they are gone, and come back;
// they answer challenges, and write down what came to them.
import { createHmac } from "node:crypto";
import { decodeCursor } from "../../core/messages/cursor.ts";
import type { Post, Transport } from "../../core/delivery/sending/transport.ts";
import { topicIdOf } from "../../core/state/ids.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import type { Attempt, Books, Pair } from "./books.ts";
import type { Link } from "./kafka/cluster.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "../support/load/random.ts";

/** How a subscriber is for now. `deaf`: it takes the message, but nobody hears its answer. */
export type Mood = "well" | "slow" | "failing" | "refusing" | "hanging" | "away" | "deaf" | "gone";

export const DELIVERY_TIMEOUT_MS = 3_000;
const FAILURES = [500, 503, 429, 404, 401] as const;

export interface Subscribers {
  readonly moods: Map<Pair, Mood>;
  /** The secrets a subscriber gave, the newest last. */
  readonly secrets: Map<Pair, string[]>;
  transport(link: Link, core: string): Transport;
  outbound(link: Link): Outbound;
}

export function createSubscribers(
  { machine, random, books }: { machine: Machine; random: Random; books: Books },
): Subscribers {
  const moods = new Map<Pair, Mood>();
  const secrets = new Map<Pair, string[]>();

  function answerOf(pair: Pair, attempt: Attempt): { status?: number; after: number; retryAfter?: string } {
    const soon = random.delay(5);
    switch (moods.get(pair) ?? "well") {
      case "well":
        return { status: 200, after: soon };
      case "slow":
        return { status: 204, after: random.between(200, DELIVERY_TIMEOUT_MS - 100) };
      case "failing": {
        const status = random.pick(FAILURES);
        return { status, after: soon, ...(random.chance(0.2) ? { retryAfter: String(random.integer(0, 2)) } : {}) };
      }
      case "refusing":
        // What is wrong with it is wrong every time.
        return { status: attempt.offset % 3 === 0 ? 400 : 200, after: soon };
      case "gone":
        return { status: 410, after: soon };
      case "deaf":
        return { status: 200, after: DELIVERY_TIMEOUT_MS * 2 };
      case "hanging":
      case "away":
        return { after: soon };
    }
  }

  function post(link: Link, core: string, post: Post): void {
    const { process } = link;
    let over = false;
    const end = (tell: () => void) => {
      if (over) return;
      over = true;
      late.cancelled = true;
      tell();
    };
    const late = machine.after(DELIVERY_TIMEOUT_MS, process, "timer", () => end(() => post.failed("timed out")));
    // Some connections are there already; the others take a while.
    if (random.chance(0.5)) send();
    else machine.after(random.delay(2), process, "connected", send);

    function send(): void {
      if (!post.mayGo()) return end(() => post.failed("held back"));
      const attempt = read(post, core, link);
      const number = ++link.sent;
      link.underWay.add(number);
      machine.after(random.delay(3), undefined, "POST arrives", () => {
        link.underWay.delete(number);
        if (number <= link.lostAfter || process.state !== "dead") arrive(attempt);
      });
    }

    function arrive(attempt: Attempt): void {
      const { pair } = attempt;
      pair.attempts.push(attempt);
      machine.note(`${pair.name} ${attempt.offset} ${attempt.secret ?? "?"}`);
      const mood = moods.get(pair) ?? "well";
      if (mood === "away") {
        machine.after(random.delay(3), process, "refused", () => end(() => post.failed("connection refused")));
        return;
      }
      const { status, after, retryAfter } = answerOf(pair, attempt);
      if (status === undefined) return;
      machine.after(mood === "deaf" ? 1 : after, undefined, "subscriber answers", () => {
        attempt.answeredAt = machine.now;
        attempt.status = status;
        machine.after(mood === "deaf" ? after : random.delay(3), process, "POST answered", () =>
          end(() => {
            attempt.heardAt = machine.now;
            post.answered(status, retryAfter);
          }));
      });
    }
  }

  function read(post: Post, core: string, link: Link): Attempt {
    const header = (name: string) => {
      const at = post.headers.findIndex((text, index) => index % 2 === 0 && text === name);
      return at < 0 ? "" : post.headers[at + 1]!;
    };
    const callback = `${post.url.scheme}://${post.url.host}${post.url.target}`;
    const pair = books.pairOf(callback);
    if (pair === undefined) throw new Error(`Nobody subscribed with ${callback}`);
    const signature = header("x-hub-signature");
    const secret = secrets.get(pair)?.find((secret) =>
      signature === `sha256=${createHmac("sha256", secret).update(post.body).digest("hex")}`
    );
    return {
      pair,
      core,
      process: link.process.index,
      confirmedAgo: machine.now - link.confirmedAt,
      startedAt: machine.now,
      ...decodeCursor(topicIdOf(pair.topic), header("x-hub-cursor")),
      id: header("webhook-id"),
      body: post.body.toString(),
      secret,
    };
  }

  return {
    moods,
    secrets,
    transport: (link, core) => ({
      post: (one) => post(link, core, one),
      close: () => Promise.resolve(),
    }),
    outbound: (link) => ({
      supports: { pinning: true },
      call: ({ url, signal }) =>
        new Promise((resolve) => {
          const { process } = link;
          const aborted = { kind: "failed", code: "aborted", reason: "aborted" } as const;
          if (signal?.aborted === true) return resolve(aborted);
          signal?.addEventListener("abort", () => resolve(aborted));
          machine.after(random.delay(10), process, "GET answered", () => {
            const parameters = new URL(url).searchParams;
            const mode = parameters.get("hub.mode") ?? "";
            const challenge = parameters.get("hub.challenge") ?? "";
            const callback = url.split("?")[0]!;
            if (challenge !== "") books.challenged.push({ callback, mode, at: machine.now });
            resolve({ kind: "answer", status: 200, headers: {}, body: Buffer.from(challenge), url });
          });
        }),
      close: () => Promise.resolve(),
    }),
  };
}
