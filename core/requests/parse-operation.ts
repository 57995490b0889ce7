// Operations as they come from an edge: unknown JSON in, a typed operation out.
import * as v from "valibot";
import { IDEMPOTENCY_KEY, type MoveOperation, type Operation, type OperationHead } from "../../shared/core-api.ts";
import { SEALED_SECRET, SEALED_TOKEN } from "../../shared/sealed-secret.ts";
import {
  CALLBACK_URL,
  CLIENT,
  CONCURRENCY,
  LEASE_MS,
  OUTCOME,
  REQUESTER,
  SIGNATURE,
  TOPIC_NAME,
  VERIFY_TOKEN,
} from "../state/events.ts";
import { CALLER } from "./caller.ts";
import { Refusal } from "./refusal.ts";

/** What every operation carries. */
export const HEAD = {
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  madeAt: v.pipe(v.number(), v.integer()),
};
// The edge has judged topic and callback; here only what the core itself relies on is checked again.
const PAIR = { topic: TOPIC_NAME, callback: CALLBACK_URL };
const MODE = v.picklist(["subscribe", "unsubscribe"]);
/** A cursor, a time, a message id: each is parsed later, where its parameter's name is known. */
const SHORT_TEXT = v.pipe(v.string(), v.maxLength(256));
/** Far longer than all tries of a verification and their retries together. */
const ELAPSED_MS = v.pipe(v.number(), v.minValue(0), v.maxValue(3_600_000));

const OPERATION = v.variant("kind", [
  v.object({ kind: v.literal("register"), ...HEAD, topic: TOPIC_NAME, client: v.exactOptional(CLIENT) }),
  v.object({ kind: v.literal("deregister"), ...HEAD, topic: TOPIC_NAME }),
  v.object({
    kind: v.literal("intent"),
    ...HEAD,
    mode: MODE,
    ...PAIR,
    leaseMs: v.exactOptional(LEASE_MS),
    secret: v.exactOptional(v.pipe(v.string(), v.regex(SEALED_SECRET, "it is not a sealed secret"))),
    signature: v.exactOptional(SIGNATURE),
    sealedToken: v.exactOptional(v.pipe(v.string(), v.regex(SEALED_TOKEN, "it is not a sealed token"))),
    verifyToken: v.exactOptional(VERIFY_TOKEN),
    concurrency: v.exactOptional(CONCURRENCY),
    start: v.exactOptional(SHORT_TEXT),
    client: v.exactOptional(CLIENT),
    requester: v.exactOptional(REQUESTER),
    marked: v.exactOptional(v.literal(true)),
    unpinned: v.exactOptional(v.literal(true)),
  }),
  v.object({
    kind: v.literal("result"),
    ...HEAD,
    intent: HEAD.id,
    mode: MODE,
    ...PAIR,
    verified: v.boolean(),
    outcome: v.exactOptional(OUTCOME),
    reason: v.exactOptional(v.string()),
    elapsedMs: ELAPSED_MS,
  }),
  v.object({
    kind: v.literal("ping"),
    ...HEAD,
    topics: v.pipe(v.array(TOPIC_NAME), v.minLength(1), v.maxLength(1_000)),
    client: v.exactOptional(CLIENT),
    requester: v.exactOptional(REQUESTER),
  }),
]);

const MOVE = v.variant("kind", [
  v.object({ kind: v.literal("ack"), ...HEAD, ...PAIR, caller: CALLER, cursor: SHORT_TEXT }),
  v.object({ kind: v.literal("resume"), ...HEAD, ...PAIR, caller: CALLER, from: v.exactOptional(SHORT_TEXT) }),
  v.object({
    kind: v.literal("replay"),
    ...HEAD,
    ...PAIR,
    caller: CALLER,
    key: v.pipe(v.string(), v.regex(IDEMPOTENCY_KEY)),
    letter: v.exactOptional(SHORT_TEXT),
  }),
]);

/** @throws {Refusal} "invalid_request" naming the field */
export function parseMove(input: unknown): MoveOperation {
  return parseWith(MOVE, input);
}

/** @throws {Refusal} "invalid_request" naming the field */
export function parseOperation(input: unknown): Operation {
  return parseWith(OPERATION, input);
}

/** The input, if it is of this schema. @throws {Refusal} "invalid_request" naming the field */
export function parseWith<T>(schema: v.GenericSchema<unknown, T>, input: unknown): T {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Refusal("invalid_request", `The operation's ${v.getDotPath(issue) ?? "body"} is wrong: ${issue.message}`);
}

/** An edge retries for at most 60 s, and the fold remembers an operation for 120 s (A3.8). */
const STALE_MS = 90_000;

/** `time`: ms since 1970. @throws {Refusal} "stale_operation" */
export function refuseStale({ madeAt }: Pick<OperationHead, "madeAt">, time: number): void {
  if (time - madeAt <= STALE_MS) return;
  throw new Refusal("stale_operation", "The operation was made more than 90 s ago; make a new one");
}
