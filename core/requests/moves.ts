// What moves a position from outside, or sends dead letters again: ack, resume and replay (WIRE §5). Each is an event; the answer is the status after its fold.
import { createHash } from "node:crypto";
import * as v from "valibot";
import { IDEMPOTENCY_KEY, type MoveOperation, type SubscriptionStatus } from "../../shared/core-api.ts";
import { type AckEvent, encodeEvent, type ReplayEvent, type ResumeEvent } from "../state/events.ts";
import { MOST_REQUESTS, requestKeyOf } from "../state/fold-subscription.ts";
import { clientKeyOf, KEYS_KEPT_MS } from "../state/ids.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { findDeadLetters, waitForEvents } from "./accepted.ts";
import { type Admit, type Known, refuseEnded } from "./admission.ts";
import { CALLER, clientOf } from "./caller.ts";
import { HEAD, PAIR, parseWith, refuseStale } from "./operation.ts";
import { CURSOR, FROM, offsetOf, parseCursor, parsePosition } from "./position.ts";
import { Refusal } from "./refusal.ts";
import type { ReadStatus } from "./status.ts";

export interface MovesOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly admit: Admit;
  readonly readStatus: ReadStatus;
  /** Wall clock, ms. */
  readonly clock: () => number;
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
  v.object({
    kind: v.literal("replay"),
    ...HEAD,
    ...PAIR,
    caller: CALLER,
    key: v.pipe(v.string(), v.regex(IDEMPOTENCY_KEY)),
    letter: v.exactOptional(text),
  }),
]);

/** @throws {Refusal} "invalid_request" naming the field */
export function parseMove(input: unknown): MoveOperation {
  return parseWith(MOVE, input);
}

export function createMove({ log, replica, admit, readStatus, clock }: MovesOptions): Move {
  /** undefined if the request has acted already. */
  async function eventOf(
    operation: MoveOperation,
    known: Known,
  ): Promise<AckEvent | ResumeEvent | ReplayEvent | undefined> {
    const { topic, callback } = operation;
    const time = clock();
    if (operation.kind === "ack") {
      const next = await offsetOf(parseCursor(CURSOR, operation.cursor, known.topic), known.topic, log);
      return { type: "ack", id: operation.id, time, topic, callback, next };
    }
    const remembered = known.record.requests?.filter(([, until]) => until > time) ?? [];
    if (operation.kind === "replay") {
      const { key, letter, caller } = operation;
      const name = `replay_${hash(`${clientKeyOf(clientOf(caller))}\n${known.id}\n${key}`)}`;
      const id = `${name}.${hash(letter ?? "").slice(0, 8)}`;
      const before = remembered.find(([other]) => requestKeyOf(other) === name);
      if (before !== undefined && before[0] !== id) {
        throw new Refusal(
          "conflict",
          "This Idempotency-Key was used with another id; use a new one for another request",
        );
      }
      if (before !== undefined) return undefined;
      refuseTooMany(remembered.length);
      return { type: "replay", id, time, topic, callback, keptMs: KEYS_KEPT_MS, ...await lettersOf(letter, known) };
    }
    refuseTooMany(remembered.length);
    const { caller } = operation;
    const signed = caller.kind === "signature";
    // A POST's signature acts once (WIRE §5).
    const id = signed ? `sig_${hash(caller.signature)}` : operation.id;
    const from = operation.from === undefined ? undefined : await fromOf(operation.from, known, time);
    const keptMs = signed ? SIGNED_KEPT_MS : RETRIES_KEPT_MS;
    return { type: "resume", id, time, topic, callback, keptMs, ...(from === undefined ? {} : { from }) };
  }

  /** Where the dead letters stand that are meant: the one with this message id, or all that there are now. */
  async function lettersOf(letter: string | undefined, known: Known): Promise<{ from: number; end: number }> {
    const partition = log.partitionOf("dead-letters", known.id);
    if (letter === undefined) return { from: 0, end: await log.end("dead-letters", partition) };
    const { id: subscriptionId, record: { life } } = known;
    const query = { subscriptionId, life, from: 0, afterMessage: -1, messageId: letter, limit: 1 };
    const found = await findDeadLetters(replica, query);
    if (found[0] === undefined) {
      throw new Refusal("not_found", `id "${letter}" is none of this subscription's dead letters`);
    }
    return { from: found[0].place, end: found[0].place + 1 };
  }

  /** Never before the subscription's start. */
  async function fromOf(from: string, { record, topic }: Known, time: number): Promise<number> {
    return Math.max(record.start, await offsetOf(parsePosition(FROM, from, topic, time), topic, log));
  }

  return async (operation) => {
    refuseStale(operation, clock());
    const { topic, callback, caller } = operation;
    const known = await admit(topic, callback, caller);
    refuseEnded(known);
    const event = await eventOf(operation, known);
    if (event === undefined) return await readStatus(topic, callback, caller);
    const { partition, offset } = await log.append("events", { key: known.id, value: encodeEvent(event) });
    await waitForEvents(replica, "cursors", partition, offset + 1);
    return await readStatus(topic, callback, caller);
  };
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** @throws {Refusal} "too_many": what is remembered of a subscription's requests is bounded (A3.8) */
function refuseTooMany(remembered: number): void {
  if (remembered < MOST_REQUESTS) return;
  throw new Refusal(
    "too_many",
    `This subscription had ${MOST_REQUESTS} requests to resume or replay that are remembered still; wait`,
  );
}
