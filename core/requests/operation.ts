// Operations as they come from an edge: unknown JSON in, a typed operation out.
import * as v from "valibot";
import type { Operation, OperationHead } from "../../shared/core-api.ts";
import { CALLBACK_URL, CLIENT, CONCURRENCY, LEASE_MS, TOPIC_NAME, VERIFY_TOKEN } from "../state/events.ts";
import { SEALED_SECRET } from "../../shared/sealed-secret.ts";
import { Refusal } from "./refusal.ts";

/** What every operation carries. */
export const HEAD = {
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  madeAt: v.pipe(v.number(), v.integer()),
};
// A topic or callback was judged by the edge; here only what the core itself stands on is checked again.
const topic = TOPIC_NAME;
const callback = CALLBACK_URL;
/** The topic and callback of a subscription. */
export const PAIR = { topic, callback };
const head = HEAD;
/** Far beyond what verifying and retrying take together. */
const ELAPSED_MS = v.pipe(v.number(), v.minValue(0), v.maxValue(3_600_000));
const mode = v.picklist(["subscribe", "unsubscribe"]);

const OPERATION = v.variant("kind", [
  v.object({ kind: v.literal("register"), ...head, topic, client: v.exactOptional(CLIENT) }),
  v.object({ kind: v.literal("deregister"), ...head, topic }),
  v.object({
    kind: v.literal("intent"),
    ...head,
    mode,
    topic,
    callback,
    leaseMs: v.exactOptional(LEASE_MS),
    secret: v.exactOptional(v.pipe(v.string(), v.regex(SEALED_SECRET, "it is not a sealed secret"))),
    verifyToken: v.exactOptional(VERIFY_TOKEN),
    concurrency: v.exactOptional(CONCURRENCY),
    start: v.exactOptional(v.pipe(v.string(), v.maxLength(256))),
    client: v.exactOptional(CLIENT),
    marked: v.exactOptional(v.literal(true)),
  }),
  v.object({
    kind: v.literal("result"),
    ...head,
    intent: head.id,
    mode,
    topic,
    callback,
    verified: v.boolean(),
    reason: v.exactOptional(v.string()),
    elapsedMs: ELAPSED_MS,
  }),
  v.object({
    kind: v.literal("ping"),
    ...head,
    topics: v.pipe(v.array(topic), v.minLength(1), v.maxLength(1_000)),
    client: v.exactOptional(CLIENT),
  }),
]);

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

/** An edge retries for at most 60 s (A3.8): what is older would fall out of the memory that makes it happen once. */
const STALE_MS = 90_000;

/** @throws {Refusal} "stale_operation" */
export function refuseStale({ madeAt }: Pick<OperationHead, "madeAt">, now: number): void {
  if (now - madeAt <= STALE_MS) return;
  throw new Refusal("stale_operation", "The operation was made more than 90 s ago; make a new one");
}
