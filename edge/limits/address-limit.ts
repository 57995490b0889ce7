// Limits the requests a second of each address. Who owns a /48 of IPv6 has 65,536 addresses by the /64: all of them together have what
// some have.

import { networkOf } from "./client-address.ts";
import { createRateLimit, type RateLimit, type RateLimitOptions } from "./rate-limit.ts";

/** The addresses' worth of requests that a network may send. */
export const ADDRESSES_OF_NETWORK = 8;

/** Its keys are those of `clientAddress`. */
export function createAddressLimit(options: RateLimitOptions): RateLimit {
  const addresses = createRateLimit(options);
  const networks = createRateLimit({ ...options, perSecond: ADDRESSES_OF_NETWORK * options.perSecond });
  return {
    take: (address, requests) => {
      const network = networkOf(address);
      // First, so that a network over its limit makes no more keys.
      const waitS = network === undefined ? 0 : networks.take(network, requests);
      return waitS > 0 ? waitS : addresses.take(address, requests);
    },
  };
}
