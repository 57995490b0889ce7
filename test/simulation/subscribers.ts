// The callbacks of a simulated run: they take messages, fail, hang, go down, answer 410 and come back, as their manner says.
// They answer challenges, and write into the books what came.
import type { Post, Transport } from "../../core/delivery/sending/transport.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { FAILURES, type Manner } from "../support/load/manner.ts";
import { readReceipt } from "../support/load/receipt.ts";
import type { Attempt, Books, Pair } from "./books.ts";
import type { Link } from "./kafka/cluster.ts";
import type { Machine } from "./time/machine.ts";
import type { Random } from "../support/load/random.ts";

export const DELIVERY_TIMEOUT_MS = 3_000;

export interface Subscribers {
  readonly manners: Map<Pair, Manner>;
  /** The secrets that a subscriber gave, the newest last. */
  readonly secrets: Map<Pair, string[]>;
  transport(link: Link, core: string): Transport;
  outbound(link: Link): Outbound;
}

export function createSubscribers(
  { machine, random, books }: { machine: Machine; random: Random; books: Books },
): Subscribers {
  const manners = new Map<Pair, Manner>();
  const secrets = new Map<Pair, string[]>();

  function answerOf(pair: Pair, attempt: Attempt): { status?: number; after: number; retryAfter?: string } {
    const soon = random.delay(5);
    switch (manners.get(pair) ?? "well") {
      case "well":
        return { status: 200, after: soon };
      case "slow":
        return { status: 204, after: random.between(200, DELIVERY_TIMEOUT_MS - 100) };
      case "failing": {
        const status = random.pick(FAILURES);
        return { status, after: soon, ...(random.chance(0.2) ? { retryAfter: String(random.integer(0, 2)) } : {}) };
      }
      case "refusing":
        // The same messages are refused every time.
        return { status: attempt.offset % 3 === 0 ? 400 : 200, after: soon };
      case "gone":
        return { status: 410, after: soon };
      case "deaf":
        return { status: 200, after: DELIVERY_TIMEOUT_MS * 2 };
      default:
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
    // Some connections exist already; the others take a while.
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
      const manner = manners.get(pair) ?? "well";
      if (manner === "down") {
        machine.after(random.delay(3), process, "refused", () => end(() => post.failed("connection refused")));
        return;
      }
      const { status, after, retryAfter } = answerOf(pair, attempt);
      if (status === undefined) return;
      machine.after(manner === "deaf" ? 1 : after, undefined, "subscriber answers", () => {
        attempt.answeredAt = machine.now;
        attempt.status = status;
        machine.after(manner === "deaf" ? after : random.delay(3), process, "POST answered", () =>
          end(() => {
            attempt.heardAt = machine.now;
            post.answered(status, retryAfter);
          }));
      });
    }
  }

  function read(post: Post, core: string, link: Link): Attempt {
    const callback = `${post.url.scheme}://${post.url.host}${post.url.target}`;
    const pair = books.pairOf(callback);
    if (pair === undefined) throw new Error(`Nobody subscribed with ${callback}`);
    const headers: Record<string, string> = {};
    for (let index = 0; index < post.headers.length; index += 2) {
      headers[post.headers[index]!] = post.headers[index + 1]!;
    }
    const { id, partition, offset, signedWith } = readReceipt(pair.topic, secrets.get(pair) ?? [], {
      headers,
      body: post.body,
    });
    return {
      pair,
      core,
      process: link.process.index,
      confirmedAgo: machine.now - link.confirmedAt,
      startedAt: machine.now,
      partition,
      offset,
      id,
      body: post.body.toString(),
      secret: signedWith,
    };
  }

  return {
    manners,
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
