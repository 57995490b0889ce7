// Quotas without any bound.
import type { Quotas } from "../../../core/requests/quotas.ts";

export const NO_QUOTAS: Quotas = { appendWithin: ({ append }) => append() };
