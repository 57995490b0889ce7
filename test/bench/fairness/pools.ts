// What twenty good clients do with each pool, and how long it takes them.
import { setTimeout as pause } from "node:timers/promises";
import { openIssuer } from "../../support/servers/issuer.ts";
import type { AttackReport } from "./attacker.ts";
import type { AttackName } from "./attacks.ts";
import { type Answer, createPerson, type Person, subscribe } from "./person.ts";
import type { Site } from "./site.ts";

/** What is not answered within this time is lost, ms. */
export const LOST_AFTER_MS = 15_000;
export const CLIENTS = 20;

export interface Good {
  readonly person: Person;
  /** From 0. */
  readonly n: number;
  readonly hub: string;
  readonly base: string;
  readonly site: Site;
  /** This client's own host. */
  readonly origin: string;
}

export interface Pool {
  readonly name: string;
  /** What its attacker does, if that is a process of its own. */
  readonly attack?: AttackName;
  /** Between two acts of one client, ms. */
  readonly everyMs: number;
  /** Opens what the pool needs beside the hub: settings, and how to end it. */
  readonly open?: () => Promise<OpenPool>;
  /** Makes a client ready, and yields what it does again and again; `nth` counts from 0. */
  readonly ready: (good: Good, opened: OpenPool) => Promise<(nth: number) => Promise<Outcome>>;
}

export interface OpenPool {
  readonly settings: Readonly<Record<string, string>>;
  readonly token?: () => string;
  /** Whether a call to a URL was answered. */
  readonly call?: (url: string, requester: string) => Promise<boolean>;
  /** Attacks from this process; the result ends that. */
  readonly attack?: () => () => Promise<AttackReport>;
  readonly close: () => Promise<void>;
}

/** ms, or why there is no figure. */
export type Outcome = number | "lost" | "refused";

const JSON_TYPE = { "content-type": "application/json" };
const topicOf = ({ n }: Good) => `https://good.test/${n}`;

function publish({ person, hub }: Good, topic: string, body: string): Promise<Answer> {
  return person.ask(`${hub}?hub.mode=publish&hub.topic=${encodeURIComponent(topic)}`, { body, headers: JSON_TYPE });
}

/** How long an answer took. */
async function timed(asked: () => Promise<Answer>, expected: readonly number[]): Promise<Outcome> {
  const begun = performance.now();
  const { status } = await asked();
  return expected.includes(status) ? performance.now() - begun : "refused";
}

/** How long it took from a request until the site was asked. */
async function until({ site }: Good, path: string, asked: () => Promise<Answer>): Promise<Outcome> {
  const begun = performance.now();
  const arrival = site.asked(path, LOST_AFTER_MS);
  const { status } = await asked();
  if (status < 200 || status > 299) return "refused";
  const at = await arrival;
  return at === undefined ? "lost" : at - begun;
}

/** Subscribes the client's own callback, and waits until it is verified. */
async function subscribed(good: Good, topic: string, path: string): Promise<void> {
  const { person, hub, base, origin } = good;
  const callback = `${origin}${path}`;
  const { status } = await subscribe(person, hub, topic, callback);
  if (status !== 202) throw new Error(`A subscribe was answered ${status}`);
  const query = new URLSearchParams({ topic, callback });
  for (let left = 100; left > 0; left--) {
    const { text } = await person.ask(`${base}/subscriptions?${query}`);
    if (text.includes('"active"')) return;
    await pause(100);
  }
  throw new Error(`${callback} did not become active`);
}

/** Deliveries to callbacks of this manner. */
const deliveries = (name: string, manner: "well" | "slow", everyMs: number): Pool => ({
  name,
  attack: "delivery",
  everyMs,
  ready: async (good) => {
    const path = `/${manner}/${good.n}`;
    await subscribed(good, topicOf(good), path);
    return () => until(good, `POST ${path}`, () => publish(good, topicOf(good), "{}"));
  },
});

const verifications: Pool = {
  name: "verification",
  attack: "verification",
  everyMs: 1_000,
  ready: (good) => {
    const { person, hub, origin, n } = good;
    return Promise.resolve((nth) => {
      const path = `/well/${n}-${nth}-${process.hrtime.bigint()}`;
      return until(good, `GET ${path}`, () => subscribe(person, hub, topicOf(good), `${origin}${path}`));
    });
  },
};

const fetches: Pool = {
  name: "topic fetch",
  attack: "topics",
  everyMs: 1_000,
  ready: async (good) => {
    const { person, hub, origin, n } = good;
    const topic = `${origin}/well/topic${n}`;
    await subscribed(good, topic, `/well/${n}`);
    const ping = () => person.form(hub, [["hub.mode", "publish"], ["hub.url", topic]]);
    return () => until(good, `POST /well/${n}`, ping);
  },
};

const pings: Pool = {
  name: "pings",
  attack: "pings",
  everyMs: 500,
  ready: (good) => {
    const ping = () => good.person.form(good.hub, [["hub.mode", "publish"], ["hub.url", `${good.origin}/quiet`]]);
    return Promise.resolve(() => timed(ping, [200, 204]));
  },
};

const bodies: Pool = {
  name: "bodies of 100 KiB",
  attack: "bodies",
  everyMs: 1_000,
  ready: (good) => Promise.resolve(() => timed(() => publish(good, topicOf(good), "x".repeat(102_400)), [200])),
};

const connections: Pool = {
  name: "connections",
  attack: "connections",
  everyMs: 500,
  open: () => Promise.resolve({ settings: { TIDINGS_CONNECTIONS: "2000" }, close: () => Promise.resolve() }),
  ready: (good) =>
    Promise.resolve(async () => {
      const fresh = createPerson(good.person.address);
      try {
        return await timed(() => publish({ ...good, person: fresh }, topicOf(good), "{}"), [200]);
      } finally {
        fresh.close();
      }
    }),
};

const streams: Pool = {
  name: "event streams",
  attack: "streams",
  everyMs: 2_000,
  ready: async (good) => {
    const { person, base, origin, n } = good;
    await subscribed(good, topicOf(good), `/well/${n}`);
    const query = new URLSearchParams({ topic: topicOf(good), callback: `${origin}/well/${n}` });
    const headers = { accept: "text/event-stream" };
    return async () => {
      const begun = performance.now();
      const first = await person.firstOf(`${base}/messages?${query}`, { headers, deadlineMs: LOST_AFTER_MS }, () => {
        void publish(good, topicOf(good), "{}").catch(() => {});
      });
      return first === "lost" || first === "refused" ? first : performance.now() - begun;
    };
  },
};

const introspections: Pool = {
  name: "introspection",
  attack: "introspection",
  everyMs: 500,
  open: async () => {
    const issuer = await openIssuer();
    const answer = issuer.onIntrospect;
    issuer.onIntrospect = (request, response) => void setTimeout(() => void answer(request, response), 20);
    let count = 0;
    return {
      settings: {
        TIDINGS_ACCESS: "token",
        TIDINGS_ISSUER: issuer.url,
        TIDINGS_AUDIENCE: "hub",
        TIDINGS_INTROSPECTION_URL: `${issuer.url}/introspect`,
        TIDINGS_INTROSPECTION_CLIENT_ID: "hub",
        TIDINGS_INTROSPECTION_CLIENT_SECRET: "secret",
      },
      token: () => {
        const token = `good-${count++}`;
        issuer.opaque.set(token, { iss: issuer.url, sub: "good", aud: "hub", scope: "websub:subscribe" });
        return token;
      },
      close: () => issuer.close(),
    };
  },
  ready: ({ person, base }, { token }) => {
    const url = `${base}/subscriptions?topic=t&callback=http%3A%2F%2Fc.test%2F`;
    // Each time a token that the hub has not seen. There is no such subscription.
    const ask = () => person.ask(url, { headers: { authorization: `Bearer ${token!()}` } });
    return Promise.resolve(() => timed(ask, [404]));
  },
};

export const POOLS: readonly Pool[] = [
  deliveries("delivery", "well", 500),
  deliveries("delivery, callbacks that take 1.2 s", "slow", 3_000),
  verifications,
  fetches,
  introspections,
  streams,
  bodies,
  pings,
  connections,
];
