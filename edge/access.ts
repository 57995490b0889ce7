// Who may do what (WIRE §6): asked after a request was parsed and before it goes to the core, so that 401 and 403 stand
// between 400 and 404. Only `open` exists so far; the settings refuse it off loopback.

import type { Caller } from "../shared/core-api.ts";
import type { HubRequest } from "./hub-request.ts";
import { signatureOf } from "./subscriber.ts";
import type { SentRequest } from "./subscriber.ts";

export interface Access {
  /** Lets the request pass, or throws what refuses it. */
  admit(request: Request, wanted: HubRequest): void | Promise<void>;
  /**
   * Who asks about a subscription, or to move it; the core decides whether that is enough.
   * @throws {HubError} "unauthorized"
   */
  callerOf(request: SentRequest): Promise<Caller>;
}

/** ACCESS=open: anyone on this machine, tokens are not looked at; a signature that is present must be right. */
export const openAccess: Access = {
  admit: () => {},
  callerOf: async (request) => await signatureOf(request) ?? { kind: "anyone" },
};
