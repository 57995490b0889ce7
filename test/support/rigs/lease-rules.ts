// The leases of WIRE §8's defaults, for what parses requests.

export const RULES = { leaseDefaultMs: 864_000_000, leaseMinMs: 60_000, leaseMaxMs: 7_776_000_000 };
