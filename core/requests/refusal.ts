// A refusal: the core's answer when it does not do as asked. It is thrown, and the HTTP app makes a `CoreRefusal` of it.
import { type CoreRefusal, type RefusalCode, REFUSALS } from "../../shared/core-api.ts";
import { LogError } from "../log/log.ts";

/** `message` names the parameter and says what to do; it may be shown to the requester. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Refusal";
    this.code = code;
  }
}

/** The 503 of a core whose replica or tail does not show what was accepted before the request (A3.11). */
export function notCaughtUp(): Refusal {
  return new Refusal("unavailable", "The hub has not caught up with what it accepted; try again");
}

/** The status and body that tell an edge of an error; undefined if the error is unexpected. */
export function refusalOf(error: unknown): { status: number; body: CoreRefusal } | undefined {
  if (error instanceof Refusal) return refused(error.code, error.message);
  if (!(error instanceof LogError)) return undefined;
  switch (error.code) {
    case "too_large":
      return refused("too_large", error.message);
    case "full":
      return refused("unavailable", "The hub's log has no room for now; try again later");
    default:
      return refused("unavailable", "The hub's log cannot be reached for now; try again later");
  }
}

function refused(code: RefusalCode, message: string) {
  return { status: REFUSALS[code], body: { code, message } };
}
