// What the edge asks of a core, as requests (shared/core-api.ts).

import { frameContent } from "../../shared/content-frame.ts";
import { CALLER_HEADER, CORE_MAX_HEADER_BYTES, CORE_PATHS } from "../../shared/core-api.ts";
import type {
  Caller,
  ClientIdentity,
  MoveOperation,
  Operation,
  OperationHead,
  TextSigner,
} from "../../shared/core-api.ts";
import { sealingSubject, subscriptionIdByWebCrypto } from "../../shared/sealed-secret.ts";
import { CoreError } from "./core-answers.ts";
import type { CoreRequest, Session } from "./session.ts";

export interface Content {
  readonly topic: string;
  /** Who publishes; null: the anonymous client. */
  readonly client: ClientIdentity | null;
  /** Idempotency-Key; null if none. */
  readonly key: string | null;
  readonly contentType: string;
  /** Allow-listed headers of the publisher, lower-case names; null if none. */
  readonly headers: Readonly<Record<string, string>> | null;
  readonly traceparent: string;
  readonly body: Uint8Array;
}

/** A question is in the head of a request, of which a core takes so much, and the headers of a session need some. */
const MOST_QUESTION_BYTES = CORE_MAX_HEADER_BYTES - 8 * 1024;

/** What is asked about one subscription, and by whom (WIRE §5). */
export interface Question<Asker extends Caller | TextSigner = Caller> {
  readonly pair: { readonly topic: string; readonly callback: string };
  readonly caller: Asker;
  /** Parameters for the core to read, as they came. */
  readonly given: readonly (readonly [name: string, value: string])[];
}

/** ARCHITECTURE §5: a secret and a verify token leave the edge sealed, to the newest key of the very core that is asked. */
export async function sealedRequest(operation: Operation, { sealer }: Session): Promise<CoreRequest> {
  if (operation.kind !== "intent") return operationRequest(operation);
  const { secret, verifyToken, ...rest } = operation;
  if (secret === undefined && verifyToken === undefined) return operationRequest(operation);
  const subject = sealingSubject(await subscriptionIdByWebCrypto(operation.topic, operation.callback));
  return operationRequest({
    ...rest,
    ...(secret === undefined ? {} : { secret: await sealer.seal(secret, subject) }),
    ...(verifyToken === undefined ? {} : { sealedToken: await sealer.seal(verifyToken, subject) }),
  });
}

export function operationRequest(
  operation: Operation | MoveOperation,
  path: string = CORE_PATHS.operations,
): CoreRequest {
  const headers = { "content-type": "application/json" };
  return { method: "POST", path, headers, body: JSON.stringify(operation) };
}

export function contentRequest({ client, key, headers, body, ...fields }: Content, head: OperationHead): CoreRequest {
  const framed = frameContent({
    ...head,
    ...fields,
    ...(client === null ? {} : { client }),
    ...(key === null ? {} : { key }),
    ...(headers === null ? {} : { headers }),
  }, body);
  return { method: "POST", path: CORE_PATHS.messages, headers: {}, body: framed };
}

/** @throws {CoreError} "invalid_request" if it is longer than a core takes */
export function questionRequest(
  path: string,
  { pair, caller, given }: Question<Caller | TextSigner>,
  accept: string,
): CoreRequest {
  // The target is signed: it must be one that no URL parser writes in another way.
  const query = [["topic", pair.topic], ["callback", pair.callback], ...given]
    .map(([name, value]) => `${name}=${encodeURIComponent(value!).replaceAll("'", "%27")}`).join("&");
  const asker = encodeURIComponent(JSON.stringify(caller));
  if (path.length + query.length + asker.length > MOST_QUESTION_BYTES) {
    throw new CoreError("invalid_request", "The query and what shows who asks are too long; send shorter ones.");
  }
  return { method: "GET", path: `${path}?${query}`, headers: { accept, [CALLER_HEADER]: asker } };
}
