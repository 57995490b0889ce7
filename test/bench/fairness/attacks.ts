// What one stranger does to each pool, from one address: about fifty times a share, for as long as it is let.
import { connect, type Socket } from "node:net";
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { createPerson, type Person, subscribe } from "./person.ts";
import type { Site } from "./site.ts";

export interface Target {
  readonly hub: string;
  readonly base: string;
  /** The attacker's address, and its site. */
  readonly address: string;
  readonly site: Site;
  readonly signal: AbortSignal;
  /** Notes how the hub answered. */
  readonly note: (status: number, retryAfter: string | undefined) => void;
}

/** Prepares; the result attacks until the signal comes. */
export type Attack = (target: Target) => Promise<() => Promise<void>>;

/** 50 times a twentieth of the places of proven lanes, and of fetches. */
const HANGING_LANES = 2_560;
const HANGING_TOPICS = 160;
const PINGED_TOPICS = 999;
const UPLOADS = 600;
const STREAMS = 1_000;
const STREAMS_EACH = 8;
const CONNECTIONS = 3_000;
/** Between a refusal and the next try of the same loop: what is measured is the pool, and not how much the machine parses. */
const restAfterRefusal = () => pause(1_000 + 2_000 * Math.random());

/** Of another host each time. */
const hostOf = (n: number) => `127.66.${(n >> 8) & 255}.${n & 255}`;

/** Does something so often a second, at moments that follow no beat, whether or not it has been answered. */
async function often(perSecond: number, { signal }: Target, what: (n: number) => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  for (let n = 0; !signal.aborted; n++) {
    const early = begun + (n + Math.random()) * 1_000 / perSecond - performance.now();
    if (early > 1) await pause(early);
    what(n).catch(() => {});
  }
}

/** Does something in so many loops. */
async function loops(count: number, { signal }: Target, what: (n: number) => Promise<unknown>): Promise<void> {
  let n = 0;
  await Promise.all(Array.from({ length: count }, async () => {
    while (!signal.aborted) await what(n++).catch(() => pause(10));
  }));
}

async function noted({ note }: Target, asked: ReturnType<Person["ask"]>) {
  const answer = await asked;
  note(answer.status, answer.retryAfter);
  if (answer.status === 429 || answer.status === 503) await restAfterRefusal();
  return answer;
}

const delivery: Attack = async (target) => {
  const { hub, address, site } = target;
  const person = createPerson(address, 32);
  const topic = "https://attacker.test/lanes";
  const callback = (n: number) => `http://${address}:${site.port}/hangs-later/${n}`;
  let next = 0;
  await Promise.all(Array.from({ length: 32 }, async () => {
    while (next < HANGING_LANES) await noted(target, subscribe(person, hub, topic, callback(next++)));
  }));
  return async () => {
    const publish = () =>
      person.ask(`${hub}?hub.mode=publish&hub.topic=${encodeURIComponent(topic)}`, {
        body: "{}",
        headers: { "content-type": "application/json" },
      });
    // Renewed during each hang.
    await Promise.all([
      often(1, target, () => noted(target, publish())),
      often(50, target, (n) => noted(target, subscribe(person, hub, topic, callback(n * 7 % HANGING_LANES)))),
    ]);
  };
};

const verification: Attack = (target) => {
  const { hub, address, site } = target;
  const person = createPerson(address);
  return Promise.resolve(() =>
    often(50, target, (n) => {
      const callback = `http://${hostOf(n)}:${site.port}/hang/${n}`;
      return noted(target, subscribe(person, hub, "https://attacker.test/verification", callback));
    })
  );
};

const topics: Attack = async (target) => {
  const { hub, address, site } = target;
  const person = createPerson(address, 32);
  const names = Array.from({ length: HANGING_TOPICS }, (_, n) => `http://${hostOf(n)}:${site.port}/hang/topic${n}`);
  for (const [n, name] of names.entries()) {
    await noted(target, subscribe(person, hub, name, `http://${address}:${site.port}/well/${n}`));
  }
  await pause(2_000);
  const fields = [["hub.mode", "publish"], ...names.map((name) => ["hub.url", name])] as [string, string][];
  return () => often(0.5, target, () => noted(target, person.form(hub, fields)));
};

const introspection: Attack = (target) => {
  const person = createPerson(target.address);
  const url = `${target.base}/subscriptions?topic=t&callback=http%3A%2F%2Fc.test%2F`;
  return Promise.resolve(() =>
    loops(
      160,
      target,
      (n) => noted(target, person.ask(url, { headers: { authorization: `Bearer made-up-${n}-${process.pid}` } })),
    )
  );
};

const streams: Attack = async (target) => {
  const { hub, base, address, site } = target;
  const person = createPerson(address);
  const topic = "https://attacker.test/streams";
  const callback = (n: number) => `http://${address}:${site.port}/well/${n}`;
  for (let n = 0; n < STREAMS / STREAMS_EACH; n++) await noted(target, subscribe(person, hub, topic, callback(n)));
  await pause(1_000);
  return () =>
    loops(STREAMS, target, async (n) => {
      const query = new URLSearchParams({ topic, callback: callback(n % (STREAMS / STREAMS_EACH)) });
      await noted(
        target,
        person.ask(`${base}/messages?${query}`, { headers: { accept: "text/event-stream" }, deadlineMs: 120_000 }),
      );
    });
};

const bodies: Attack = (target) => {
  const url = `${target.hub}?hub.mode=publish&hub.topic=t`;
  const upload = () =>
    new Promise<void>((resolve) => {
      const sent = request(url, { method: "POST", localAddress: target.address, agent: false, signal: target.signal });
      const drip = setInterval(() => sent.write("x"), 500);
      const end = () => {
        clearInterval(drip);
        sent.destroy();
        resolve();
      };
      sent.on("error", end);
      sent.on("response", (response) => {
        target.note(response.statusCode ?? 0, response.headers["retry-after"]);
        end();
      });
      sent.write("x".repeat(5_000));
    });
  return Promise.resolve(() => loops(UPLOADS, target, upload));
};

const pings: Attack = (target) => {
  const person = createPerson(target.address, 8);
  const fields = [
    ["hub.mode", "publish"],
    ...Array.from({ length: PINGED_TOPICS }, (_, n) => ["hub.url", `http://${hostOf(n)}/${n}`]),
  ] as [string, string][];
  return Promise.resolve(() => loops(8, target, () => noted(target, person.form(target.hub, fields))));
};

const connections: Attack = (target) => {
  const { port, hostname } = new URL(target.base);
  const opened = new Set<Socket>();
  target.signal.addEventListener("abort", () => opened.forEach((socket) => socket.destroy()));
  const open = () =>
    new Promise<void>((resolve) => {
      const socket = connect({ host: hostname, port: Number(port), localAddress: target.address });
      opened.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        opened.delete(socket);
        target.note(0, undefined);
        resolve();
      });
    });
  return Promise.resolve(() =>
    loops(CONNECTIONS, target, async () => {
      await open();
      await restAfterRefusal();
    })
  );
};

export const ATTACKS = { delivery, verification, topics, introspection, streams, bodies, pings, connections };
export type AttackName = keyof typeof ATTACKS;
