// The outbound port on workerd. `fetch` resolves names by itself, so the address that was checked is not the one that is dialled.
// Nothing is called; the core verifies (A3.6).
import type { Outbound } from "../../outbound/outbound.ts";
import { CAPABILITIES } from "../capabilities.ts";

export const NO_OUTBOUND: Outbound = {
  supports: { pinning: CAPABILITIES.workerd.pinning },
  call: () => Promise.resolve({ kind: "failed", code: "forbidden", reason: "this runtime cannot pin addresses" }),
  close: () => Promise.resolve(),
};
