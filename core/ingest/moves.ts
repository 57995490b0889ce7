// What moves a position from outside: ack and resume (WIRE §5). Each is an event; the answer is the status after its fold.
import { createHash } from "node:crypto";
import * as v from "valibot";
import type { MoveOperation, SubscriptionStatus } from "../../shared/core-api.ts";
import { encodeEvent } from "../consolidator/events.ts";
import { MOST_REQUESTS } from "../consolidator/fold-subscription.ts";
import type { Log } from "../log/log.ts";
import { nextOf } from "../missed/read-request.ts";
import type { Replica } from "../replica/replica.ts";
import { type Admit, type Known, refuseEnded } from "./admission.ts";
import { CALLER } from "./caller.ts";
import { isIsoTime, pastTime } from "./iso-time.ts";
import { HEAD, PAIR, parseWith, refuseStale } from "./operation.ts";
import { Refusal } from "./refusal.ts";
import type { ReadStatus } from "./status.ts";
import { WAIT_MS } from "./topics.ts";

export interface MovesOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly admit: Admit;
  readonly readStatus: ReadStatus;
  /** Wall clock, ms. */
  readonly now: () => number;
}

/** @throws {Refusal | LogError} */
export type Move = (operation: MoveOperation) => Promise<SubscriptionStatus>;

/** A signed request can be sent again by whoever saw it, for as long as its timestamp counts; twice that is remembered. */
const SIGNED_KEPT_MS = 600_000;
const RETRIES_KEPT_MS = 120_000;

const text = v.pipe(v.string(), v.maxLength(256));
const MOVE = v.variant("kind", [
  v.object({ kind: v.literal("ack"), ...HEAD, ...PAIR, caller: CALLER, cursor: text }),
  v.object({ kind: v.literal("resume"), ...HEAD, ...PAIR, caller: CALLER, from: v.exactOptional(text) }),
]);

/** @throws {Refusal} "invalid_request" naming the field */
export function parseMove(input: unknown): MoveOperation {
  return parseWith(MOVE, input);
}

export function createMove({ log, replica, admit, readStatus, now }: MovesOptions): Move {
  async function eventOf(operation: MoveOperation, known: Known) {
    const { topic, callback } = operation;
    const time = now();
    if (operation.kind === "ack") {
      const next = await withinEnd(
        "cursor",
        nextOf("cursor", operation.cursor, known.topic.id, partitionOf(known)),
        known,
      );
      return { type: "ack", id: operation.id, time, topic, callback, next } as const;
    }
    const { caller } = operation;
    const signed = caller.kind === "signature";
    const waiting = known.record.requests?.filter(([, until]) => until > time) ?? [];
    if (waiting.length >= MOST_REQUESTS) {
      throw new Refusal(
        "too_many",
        `This subscription had ${MOST_REQUESTS} such requests within minutes; wait a little`,
      );
    }
    // A POST's signature acts once (WIRE §5).
    const id = signed ? `sig_${createHash("sha256").update(caller.signature).digest("base64url")}` : operation.id;
    const from = operation.from === undefined ? undefined : await fromOf(operation.from, known, time);
    const keptMs = signed ? SIGNED_KEPT_MS : RETRIES_KEPT_MS;
    return { type: "resume", id, time, topic, callback, keptMs, ...(from === undefined ? {} : { from }) } as const;
  }

  /** Never before the subscription's start. */
  async function fromOf(from: string, known: Known, time: number): Promise<number> {
    const { start } = known.record;
    if (from === "earliest") return start;
    if (isIsoTime(from)) {
      return Math.max(start, await log.positionAt("messages", partitionOf(known), pastTime("from", from, time)));
    }
    return Math.max(start, await withinEnd("from", nextOf("from", from, known.topic.id, partitionOf(known)), known));
  }

  async function withinEnd(parameter: string, next: number, known: Known): Promise<number> {
    if (next <= await log.end("messages", partitionOf(known))) return next;
    throw new Refusal("invalid_request", `${parameter} is a cursor beyond the end of the topic`);
  }

  return async (operation) => {
    refuseStale(operation, now());
    const { topic, callback, caller } = operation;
    const known = await admit(topic, callback, caller);
    refuseEnded(known);
    const event = await eventOf(operation, known);
    const { partition, offset } = await log.append("events", { key: known.id, value: encodeEvent(event) });
    if (!await replica.reached("cursors", partition, offset + 1, WAIT_MS)) {
      throw new Refusal("unavailable", "The hub has taken the request, but cannot say yet where it stands; ask again");
    }
    return await readStatus(topic, callback, caller);
  };
}

function partitionOf({ topic }: Known): number {
  return topic.partition;
}
