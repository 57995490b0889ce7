// Who asks, as the edge found out: unknown JSON in, a `Caller` out.
import * as v from "valibot";
import type { Caller, ClientIdentity, TextSigner } from "../../shared/core-api.ts";
import { CLIENT, REQUESTER } from "../state/events.ts";
import { Refusal } from "./refusal.ts";

const text = v.string();

/** The schema of a caller: in the header of a question, and in the field `caller` of an operation. */
export const CALLER = v.variant("kind", [
  v.object({ kind: v.literal("anyone"), requester: v.exactOptional(REQUESTER) }),
  v.object({ kind: v.literal("client"), ...CLIENT.entries }),
  v.object({ kind: v.literal("operator"), ...CLIENT.entries }),
  v.object({
    kind: v.literal("signature"),
    method: text,
    path: text,
    query: text,
    timestamp: text,
    signature: text,
    requester: v.exactOptional(REQUESTER),
    bodySha256: v.pipe(text, v.regex(/^[0-9a-f]{64}$/)),
    headers: v.exactOptional(v.object({ idempotencyKey: text, lastEventId: text, events: v.boolean() })),
  }),
]);

/** The client of the caller's token; undefined, the anonymous client, if the caller has none. */
export function clientOf(caller: Caller): ClientIdentity | undefined {
  return caller.kind === "client" || caller.kind === "operator" ? caller : undefined;
}

const TEXT_SIGNER = v.object({ kind: v.literal("text"), text, signature: text, requester: v.exactOptional(REQUESTER) });

/**
 * Reads the header's JSON. A missing header never means "anyone".
 * @throws {Refusal} "invalid_request"
 */
export function parseCaller(json: string | undefined): Caller {
  return parseWith(CALLER, json);
}

/** As `parseCaller`, for the one question that a text's signature is good for. */
export function parseTextSigner(json: string | undefined): TextSigner {
  return parseWith(TEXT_SIGNER, json);
}

function parseWith<T>(schema: v.GenericSchema<unknown, T>, json: string | undefined): T {
  const result = v.safeParse(schema, json === undefined ? undefined : parse(json));
  if (result.success) return result.output;
  throw new Refusal("invalid_request", "The request does not say who asks (x-tidings-caller)");
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
