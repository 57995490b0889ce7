// For tests of what a topic is, not of how many there may be.
import type { Quotas } from "../../../core/requests/quotas.ts";

export const NO_QUOTAS: Quotas = { appendWithin: ({ append }) => append() };
