// A real edge whose callbacks, core and time are scripted. Time passes only in `advance`.

import { openAccess } from "../../../edge/auth/access.ts";
import type { CoreClient } from "../../../edge/core/core-client.ts";
import { createEdge } from "../../../edge/edge.ts";
import { createVerifier } from "../../../edge/hub/verifier.ts";
import { createLimits } from "../../../edge/limits/limits.ts";
import { createProbes } from "../../../edge/operating/probes.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { createChallenge } from "../../../shared/random.ts";
import { createMetrics } from "../../../shared/runtime/metrics.ts";
import { encodeForm, parameterOf } from "../form.ts";

export interface VirtualEdgeOptions {
  /** How long the callback at this URL takes to answer, ms; Infinity: it hangs. */
  readonly takesMs: (url: string) => number;
  /** Default: all do. */
  readonly confirms?: (url: string) => boolean;
}

/** What the core was told of an accepted intent. Times are in the edge's. */
export interface ToldIntent {
  readonly id: string;
  readonly topic: string;
  readonly callback: string;
  readonly acceptedAt: number;
  settledAt?: number;
  verified?: boolean;
}

export interface VirtualEdge {
  /** Subscribes, or unsubscribes, from this address; the status. */
  subscribe(address: string, topic: string, callback: string, mode?: "subscribe" | "unsubscribe"): Promise<number>;
  /** Lets time pass, and all happen that is due meanwhile. */
  advance(ms: number): Promise<void>;
  readonly intents: readonly ToldIntent[];
  /** The intents of which the core was not told within this time, ms. */
  unsettled(withinMs: number): readonly ToldIntent[];
}

export function openVirtualEdge(options: VirtualEdgeOptions): VirtualEdge {
  const time = new VirtualTime();
  const now = () => time.now;
  const metrics = createMetrics({ tier: "edge" });
  const intents = new Map<string, ToldIntent>();
  const core = scriptedCore(time, intents);
  const verifier = createVerifier({
    core,
    outbound: scriptedOutbound(time, options),
    metrics,
    now,
    clock: now,
    challenge: createChallenge,
    pause: (ms, signal) => time.pause(ms, signal),
  });
  const limits = createLimits(
    {
      trustedProxies: [],
      requestsPerAddress: 0,
      requestsPerClient: 0,
      verificationsPerHost: 1_000,
      overloadAfterMs: 1_000,
      urlMaxBytes: 8_192,
      messageMaxBytes: 1_000_000,
    },
    metrics,
    { now },
  );
  const edge = createEdge({
    core,
    limits,
    verifier,
    access: openAccess,
    metrics,
    probes: createProbes({ core, now }),
    rules: { leaseDefaultMs: 1e9, leaseMinMs: 1, leaseMaxMs: 1e9, guard: createOutboundGuard([]) },
    messageMaxBytes: 1_000_000,
    compactJson: [],
    hubUrl: "http://hub.example/hub",
    now,
  });
  return {
    subscribe: async (address, topic, callback, mode = "subscribe") => {
      const body = encodeForm({ "hub.mode": mode, "hub.topic": topic, "hub.callback": callback });
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const request = new Request("http://hub.example/hub", { method: "POST", headers, body });
      return (await edge.fetch(request, { address })).status;
    },
    advance: (ms) => time.advance(ms),
    unsettled: (withinMs) =>
      [...intents.values()].filter(({ acceptedAt, settledAt = Infinity }) => settledAt > acceptedAt + withinMs),
    get intents() {
      return [...intents.values()];
    },
  };
}

function scriptedCore(time: VirtualTime, intents: Map<string, ToldIntent>): CoreClient {
  const never = () => Promise.reject(new Error("nobody asks for this"));
  return {
    operate: (operation) => {
      const id = `op_${intents.size}`;
      if (operation.kind === "intent") {
        const { topic, callback } = operation;
        intents.set(id, { id, topic, callback, acceptedAt: time.now });
      }
      return Promise.resolve({ id, answer: { kind: "intent", offset: intents.size, verify: true } });
    },
    report: ({ intent, verified }) => {
      Object.assign(intents.get(intent)!, { verified, settledAt: time.now });
      return Promise.resolve();
    },
    publish: never,
    ask: never,
    move: never,
    read: never,
    readFailed: never,
    isReady: () => Promise.resolve(true),
  };
}

function scriptedOutbound(time: VirtualTime, { takesMs, confirms = () => true }: VirtualEdgeOptions): Outbound {
  const answerOf = (url: string): OutboundAnswer => {
    const challenge = parameterOf(new URL(url).search.slice(1), "hub.challenge") ?? "";
    const status = confirms(url) ? 200 : 404;
    return { kind: "answer", status, headers: {}, body: new TextEncoder().encode(challenge), url };
  };
  return {
    supports: { pinning: true },
    call: async ({ url, deadlineMs, signal }: OutboundRequest) => {
      const ms = takesMs(url);
      await time.pause(Math.min(ms, deadlineMs), signal);
      if (signal?.aborted === true) return { kind: "failed", code: "aborted", reason: "aborted" };
      return ms > deadlineMs ? { kind: "failed", code: "timeout", reason: "it hangs" } : answerOf(url);
    },
    close: () => Promise.resolve(),
  };
}

/** Time that passes only as a test says. */
class VirtualTime {
  now = 0;
  /** What happens at each time. */
  readonly #due = new Map<number, (() => void)[]>();

  pause(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const at = this.now + ms;
      const others = this.#due.get(at);
      if (others === undefined) this.#due.set(at, [resolve]);
      else others.push(resolve);
      signal?.addEventListener("abort", () => resolve());
    });
  }

  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (let at = this.#next(); at <= end; at = this.#next()) {
      this.now = at;
      const due = this.#due.get(at)!;
      this.#due.delete(at);
      for (const happen of due) happen();
      await settled();
    }
    this.now = end;
  }

  #next(): number {
    return Math.min(Infinity, ...this.#due.keys());
  }
}

/** All that follows from what has happened has happened. */
async function settled(): Promise<void> {
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
}
