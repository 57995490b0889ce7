// The lease rules of WIRE §8's defaults, for tests that parse requests.

export const RULES = { leaseDefaultMs: 864_000_000, leaseMinMs: 60_000, leaseMaxMs: 7_776_000_000 };
