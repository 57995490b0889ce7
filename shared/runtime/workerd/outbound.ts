// The outbound port on workerd. `fetch` resolves names by itself, so the address that was checked is not the one that is dialled.
// Nothing is called; the core verifies (A3.6).
import type { Outbound } from "../../outbound/outbound.ts";

export const NO_OUTBOUND: Outbound = {
  supports: { pinning: false },
  call: () => Promise.resolve({ kind: "failed", code: "forbidden", reason: "this runtime cannot pin addresses" }),
  close: () => Promise.resolve(),
};
