// The scheduler of lanes over a real log in a directory of its own, with a transport that answers as a test tells it, an
// owner that writes down what it hears, and a clock that can be moved by hand.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBlockIndex } from "../../../core/messages/block-index.ts";
import { Delivery, type DeliverySettings } from "../../../core/delivery/delivery.ts";
import type { Lane } from "../../../core/delivery/lane/lane.ts";
import type { DeadLetter } from "../../../core/state/records.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import type { Signers } from "../../../core/keys/signers.ts";
import { RecentIds } from "../../../core/messages/recent-ids.ts";
import type { Post, Transport } from "../../../core/delivery/sending/transport.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../core/log/log.ts";
import { eventually } from "../eventually.ts";
import { OPEN_SIGNERS } from "../keys.ts";
import { laneOf, type LaneOptions } from "./lanes.ts";
import { NO_BLOCKS } from "./no-blocks.ts";

/** A POST as the transport was asked for it. */
export interface Sent {
  /** The callback's path. */
  readonly to: string;
  readonly body: string;
  readonly id: string;
  readonly post: Post;
  /** By the rig's clock. */
  readonly at: number;
}

/** A status at the next turn, or a status or failure after some ms, or never. */
export type Answer =
  | number
  | "hang"
  | { readonly status?: number; readonly failed?: string; readonly retryAfter?: string; readonly afterMs?: number };

export interface DeliveryRig extends AsyncDisposable {
  readonly log: Log;
  readonly delivery: Delivery;
  readonly sent: readonly Sent[];
  answer: (sent: Sent) => Answer;
  /** Called when the owner hears that a lane moved; does nothing at first. */
  moved: (lane: Lane) => void;
  readonly gone: readonly Lane[];
  readonly overLease: readonly Lane[];
  readonly parked: readonly Lane[];
  readonly recovered: readonly Lane[];
  readonly deadLetters: readonly (DeadLetter & { readonly lane: Lane })[];
  /** The most bytes that lanes held at any time an attempt began or ended. */
  readonly mostHeld: number;
  readonly clock: () => number;
  /** Moves the clock; ticks follow in real time. */
  advance(ms: number): void;
  publish(topicId: string, body: string | Uint8Array, id?: string): Promise<number>;
  add(options: LaneOptions): Lane;
  /** The bodies that were sent to a path, in order of departure. */
  bodies(to: string): string[];
  /** Resolves when a path was sent so many bodies. */
  received(to: string, count: number, deadlineMs?: number): Promise<string[]>;
  /** Resolves when the tail has passed everything in the log. */
  followed(): Promise<void>;
}

export interface DeliveryRigOptions {
  readonly settings?: Partial<DeliverySettings>;
  /** Where the tail begins; default 0. "end": at the log's end, when `before` has been appended. */
  readonly from?: number | "end";
  /** What the log holds already; it is opened again for the test. */
  readonly before?: (log: Log) => Promise<void>;
  /** Default true; else the test calls `delivery.start()`. */
  readonly started?: boolean;
  readonly retentionMs?: number;
  readonly sweepMs?: number;
  readonly random?: () => number;
  readonly transport?: Transport;
  readonly signers?: Signers;
}

export const SETTINGS: DeliverySettings = {
  userAgent: "tidings/test",
  signature: "sha256",
  retry: { minMs: 20, maxMs: 300_000 },
  parkAfterMs: 900_000,
  probeIntervalMs: 300_000,
  deadLetterAttempts: 5,
  deadLetter500Attempts: 0,
  laneMemoryBytes: 64 * 1024 * 1024,
};

/** The topic of lanes made of `at`. */
export const TOPIC = "topic-one";
/** A lane by its name. */
export const at = (name: string) => ({ id: name, callback: `http://127.0.0.1:8080/${name}`, topicId: TOPIC });
/** Bodies that say which they are. */
export const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => String(from + index));

let count = 0;

/** Appends one message. */
export async function append(log: Log, topicId: string, body: string | Uint8Array, id = `msg_${++count}`) {
  const value = typeof body === "string" ? Buffer.from(body) : body;
  const headers = { [MESSAGE_HEADERS.id]: id, [MESSAGE_HEADERS.contentType]: "text/plain" };
  return (await log.append("messages", { key: topicId, value, headers })).offset;
}

export async function openDeliveryRig(options: DeliveryRigOptions = {}): Promise<DeliveryRig> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-delivery-"));
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  const open = () =>
    openLibsqlLog({
      directory,
      retentionMs: options.retentionMs ?? 7 * 86_400_000,
      maxMessageBytes: 4_000_000,
      onFatal: (error) => {
        throw error;
      },
      clock,
      ...(options.sweepMs === undefined ? {} : { sweepMs: options.sweepMs }),
    });
  if (options.before !== undefined) {
    const before = await open();
    await options.before(before);
    await before.close();
  }
  const log = await open();
  const sent: Sent[] = [];
  const gone: Lane[] = [];
  const overLease: Lane[] = [];
  const parked: Lane[] = [];
  const recovered: Lane[] = [];
  const deadLetters: (DeadLetter & { lane: Lane })[] = [];
  let mostHeld = 0;
  const scripted: Transport = {
    post(post) {
      const id = post.headers[post.headers.indexOf("webhook-id") + 1]!;
      const one = { to: post.url.target, body: post.body.toString(), id, post, at: clock() };
      sent.push(one);
      mostHeld = Math.max(mostHeld, delivery.heldBytes);
      const answer = rig.answer(one);
      if (answer === "hang") return;
      const { status = 204, failed, retryAfter, afterMs } = typeof answer === "number" ? { status: answer } : answer;
      const end = () => {
        mostHeld = Math.max(mostHeld, delivery.heldBytes);
        if (failed === undefined) post.answered(status, retryAfter);
        else post.failed(failed);
      };
      if (afterMs === undefined) setImmediate(end);
      else setTimeout(end, afterMs);
    },
    close: () => Promise.resolve(),
  };
  const from = options.from === "end" ? await log.end("messages", 0) : options.from ?? 0;
  const writing = { log, store: NO_BLOCKS, rememberMs: 86_400_000, write: () => {} };
  const delivery = new Delivery(
    {
      log,
      blocks: await openBlockIndex(writing, [from]),
      transport: options.transport ?? scripted,
      recentIds: new RecentIds(clock),
      signers: options.signers ?? OPEN_SIGNERS,
      settings: { ...SETTINGS, ...options.settings },
      clock,
      random: options.random ?? Math.random,
    },
    {
      moved: (lane) => rig.moved(lane),
      gone: (lane) => void gone.push(lane),
      parked: (lane) => void parked.push(lane),
      recovered: (lane) => void recovered.push(lane),
      leaseOver: (lane) => void overLease.push(lane),
      deadLetter: (lane, letter) => void deadLetters.push({ ...letter, lane }),
    },
    [from],
  );
  const rig: DeliveryRig = {
    log,
    delivery,
    sent,
    answer: () => 204,
    moved: () => {},
    gone,
    overLease,
    parked,
    recovered,
    deadLetters,
    get mostHeld() {
      return mostHeld;
    },
    clock,
    advance: (ms) => void (ahead += ms),
    publish: (topicId, body, id) => append(log, topicId, body, id),
    add(laneOptions) {
      const lane = laneOf(laneOptions);
      delivery.add(lane);
      return lane;
    },
    bodies: (to) => sent.filter((one) => one.to === to).map(({ body }) => body),
    received: (to, count, deadlineMs) =>
      eventually(`${count} deliveries to ${to}`, () => {
        const bodies = rig.bodies(to);
        return bodies.length >= count && bodies;
      }, { seen: () => `${rig.bodies(to).length}`, ...(deadlineMs === undefined ? {} : { deadlineMs }) }),
    async followed() {
      const end = await log.end("messages", 0);
      await eventually(`the tail at ${end}`, () => delivery.tail.next(0) >= end);
    },
    async [Symbol.asyncDispose]() {
      await delivery.stop(0);
      await log.close();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  if (options.started !== false) delivery.start();
  return rig;
}
