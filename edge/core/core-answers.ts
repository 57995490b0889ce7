// What a core answers, parsed (shared/core-api.ts): its yes, its refusal, or nothing that can be used.

import { REFUSALS } from "../../shared/core-api.ts";
import type { ContentAnswer, OperationAnswer, RefusalCode } from "../../shared/core-api.ts";
import type { HttpReply } from "../../shared/http-client.ts";

/** A core refused, or no core answered. `message` may be shown to the requester. */
export class CoreError extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CoreError";
    this.code = code;
  }
}

/** `refused`: asking again changes nothing. `away`: asking again can help; the operation may have been done all the same. */
export type Reply<T> =
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "refused" | "away"; readonly error: CoreError };

export function unanswered(cause: unknown): Reply<never> {
  return { kind: "away", error: new CoreError("unavailable", "The core did not answer", { cause }) };
}

/** What an answer other than 200 means. */
export function refusalIn({ status, body }: HttpReply): Reply<never> {
  const { code, message } = parseObject(body);
  if (typeof code === "string" && Object.hasOwn(REFUSALS, code) && typeof message === "string") {
    const error = new CoreError(code as RefusalCode, message);
    return { kind: code === "unavailable" ? "away" : "refused", error };
  }
  // Something between us and the core answered, or a broken core; a 4xx would be the same at the next try.
  const error = new CoreError("unavailable", `The core answered ${status} without a reason`);
  return { kind: status >= 500 ? "away" : "refused", error };
}

export function parseOperationAnswer(body: Uint8Array): OperationAnswer {
  const { kind, offset, verify, isOwn, replaces } = parseObject(body);
  if (kind === "done") return { kind };
  if (kind === "intent" && typeof offset === "number" && typeof verify === "boolean") {
    return {
      kind,
      offset,
      verify,
      ...(isOwn === true ? { isOwn } : {}),
      ...(typeof replaces === "string" ? { replaces } : {}),
    };
  }
  throw new CoreError("unavailable", "The core's answer to an operation is not one of shared/core-api.ts");
}

export function parseContentAnswer(body: Uint8Array): ContentAnswer {
  const { id, cursor } = parseObject(body);
  if (typeof id === "string" && typeof cursor === "string") return { id, cursor };
  throw new CoreError("unavailable", "The core's answer to content is not one of shared/core-api.ts");
}

const decoder = new TextDecoder();

/** The JSON object in a body; an empty one if there is none. */
export function parseObject(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(body));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Not an answer of a core.
  }
  return {};
}
