// The whole core in this process behind a real socket. A test calls it as an edge would. Deliveries and outbound calls go to
// scripts, and the test moves the clock.
import type { Core } from "../../../core/core.ts";
import { startCore } from "../../../core/core.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../core/log/log.ts";
import {
  CALLER_HEADER,
  type ContentAnswer,
  CORE_MAX_HEADER_BYTES,
  CORE_PATHS,
  type CoreRefusal,
  type Operation,
  type OperationAnswer,
  type SubscriptionStatus,
} from "../../../shared/core-api.ts";
import { type ContentHead, frameContent } from "../../../shared/content-frame.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import type { CoreKey } from "../../../shared/jwks.ts";
import { createMetrics } from "../../../shared/runtime/metrics.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import { parseSettings } from "../../../shared/settings/settings.ts";
import { type Clock, createClock, operationId } from "./core-rig.ts";
import { encodeForm } from "../form.ts";
import { type CoreCall, createCoreCaller } from "../hub/core-caller.ts";
import type { Reply } from "../servers/http.ts";
import { CORE_KEY, EDGES, sealedFor } from "../keys.ts";
import { createScriptedTransport, type ScriptedTransport } from "./scripted-transport.ts";

/** An operation without id and time, which are made here. */
type Unmade<T> = T extends unknown ? Omit<T, "id" | "madeAt"> & { readonly id?: string; readonly madeAt?: number }
  : never;

export type ContentOptions = Partial<Omit<ContentHead, "topic">>;

export interface TestCore extends AsyncDisposable {
  /** Where its data is. */
  readonly directory: string;
  readonly url: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly core: Core;
  /** The text of /metrics, as it is now. */
  metrics(): Promise<string>;
  readonly transport: ScriptedTransport;
  readonly calls: OutboundRequest[];
  /** The answer to an outbound call; by default it fails with "network". */
  onCall: (request: OutboundRequest) => OutboundAnswer | Promise<OutboundAnswer>;
  /** The errors that the core reported as fatal. */
  readonly failures: readonly Error[];
  /** Calls the core as an edge does: in a session, signed. */
  readonly call: CoreCall;
  /** Sends any body to the path of operations. */
  raw(body: string | Uint8Array): Promise<Reply>;
  operate(operation: Unmade<Operation>): Promise<{ status: number; answer: OperationAnswer; refusal: CoreRefusal }>;
  publish(
    topic: string,
    body: string | Uint8Array,
    options?: ContentOptions,
  ): Promise<{ status: number; answer: ContentAnswer; refusal: CoreRefusal }>;
  /** Asks for a pair's status; for a 404 it resolves to the refusal's code. */
  status(topic: string, callback: string): Promise<SubscriptionStatus | CoreRefusal["code"]>;
  /** Subscribes by an intent and its result; resolves to the intent's id. */
  subscribe(
    topic: string,
    callback: string,
    more?: { secret?: string; leaseMs?: number; start?: string; concurrency?: number },
  ): Promise<string>;
  unsubscribe(topic: string, callback: string): Promise<void>;
  /** Sweeps leases and takeovers, as the core does once a second. */
  sweep(): void;
  stop(): Promise<void>;
}

export interface TestCoreOptions {
  readonly directory: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly transport?: ScriptedTransport;
  readonly onCall?: TestCore["onCall"];
  /** Wraps the log that the core gets. */
  readonly wrap?: (log: Log) => Log;
  /** The core's key; default the one that tests seal to. */
  readonly keys?: readonly CoreKey[];
}

export async function openTestCore(options: TestCoreOptions): Promise<TestCore> {
  const { directory, clock = createClock(), transport = createScriptedTransport() } = options;
  const settings = parseSettings({
    TIDINGS_DATA_DIR: directory,
    TIDINGS_RETRY_MIN: "1ms",
    TIDINGS_RETRY_MAX: "20ms",
    TIDINGS_PROBE_INTERVAL: "50ms",
    ...options.settings,
  });
  const failures: Error[] = [];
  const calls: OutboundRequest[] = [];
  const onFatal = (error: Error) => void failures.push(error);
  const { retentionMs, messageMaxBytes: maxMessageBytes } = settings;
  const log = await openLibsqlLog({ directory, retentionMs, maxMessageBytes, onFatal, clock, sweepMs: 100 });
  const seen = options.wrap?.(log) ?? log;
  // The core may call before it is open, for effects that were owed at its last end.
  let onCall: TestCore["onCall"] = options.onCall ??
    (() => ({ kind: "failed", code: "network", reason: "nobody is there" }));
  const outbound: Outbound = {
    supports: { pinning: true },
    async call(request) {
      calls.push(request);
      return await onCall(request);
    },
    close: () => Promise.resolve(),
  };
  const metrics = createMetrics({ tier: "core" });
  const core = await startCore({
    settings,
    keys: options.keys ?? [CORE_KEY],
    edges: EDGES,
    log: seen,
    transport,
    outbound,
    metrics,
    clock,
    random: Math.random,
    onFatal,
  });
  const served = await serve({
    fetch: core.fetch,
    hostname: "127.0.0.1",
    port: 0,
    maxHeaderBytes: CORE_MAX_HEADER_BYTES,
  });
  let stopped = false;
  const parsed = (reply: Reply) => {
    const body: unknown = JSON.parse(reply.text);
    return { status: reply.status, answer: body as never, refusal: body as CoreRefusal };
  };
  const test: TestCore = {
    directory,
    url: served.url,
    call: createCoreCaller(served.url, { clock }),
    metrics: async () => (await metrics.render()).text,
    clock,
    log,
    core,
    transport,
    calls,
    failures,
    get onCall() {
      return onCall;
    },
    set onCall(answer) {
      onCall = answer;
    },
    raw: (body) =>
      test.call(CORE_PATHS.operations, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      }),
    async operate(operation) {
      const made = { id: operationId(), madeAt: clock(), ...operation };
      return parsed(await test.raw(JSON.stringify(made)));
    },
    async publish(topic, body, { id = operationId(), madeAt = clock(), contentType = "text/plain", ...more } = {}) {
      const framed = frameContent({ id, madeAt, topic, contentType, ...more }, Buffer.from(body));
      return parsed(await test.call(CORE_PATHS.messages, { method: "POST", body: framed }));
    },
    async status(topic, callback) {
      const reply = await test.call(`${CORE_PATHS.subscriptions}?${encodeForm({ topic, callback })}`, {
        headers: { [CALLER_HEADER]: encodeURIComponent(JSON.stringify({ kind: "anyone" })) },
      });
      const body: unknown = JSON.parse(reply.text);
      return reply.status === 200 ? body as SubscriptionStatus : (body as CoreRefusal).code;
    },
    async subscribe(topic, callback, more = {}) {
      const id = operationId();
      const secret = more.secret === undefined ? {} : { secret: await sealedFor(topic, callback, more.secret) };
      const leaseMs = 3_600_000;
      const asked = { kind: "intent", id, mode: "subscribe", topic, callback, leaseMs, ...more, ...secret } as const;
      await accepted(test.operate(asked));
      await accepted(test.operate(resultOf(id, "subscribe", topic, callback, true)));
      return id;
    },
    async unsubscribe(topic, callback) {
      const id = operationId();
      await accepted(test.operate({ kind: "intent", id, mode: "unsubscribe", topic, callback }));
      await accepted(test.operate(resultOf(id, "unsubscribe", topic, callback, true)));
    },
    sweep: () => core.engine.ownership.shards[0]!.sweep(),
    async stop() {
      if (stopped) return;
      stopped = true;
      core.endStreams();
      await served.close(0);
      await core.stop(1_000);
      await log.close();
    },
    [Symbol.asyncDispose]: () => test.stop(),
  };
  return test;
}

export function resultOf(
  intent: string,
  mode: "subscribe" | "unsubscribe",
  topic: string,
  callback: string,
  verified: boolean,
) {
  return { kind: "result", intent, mode, topic, callback, verified, elapsedMs: 0 } as const;
}

async function accepted(reply: Promise<{ status: number; refusal: CoreRefusal }>): Promise<void> {
  const { status, refusal } = await reply;
  if (status !== 200) throw new Error(`The core answered ${status}: ${refusal.message}`);
}
