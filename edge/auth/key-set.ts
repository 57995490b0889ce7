// An issuer's keys (RFC 7517). They are fetched anew for a key that is not among them, at most once per cooldown; known keys
// stay in use while the issuer is down.

import { getLogger } from "@logtape/logtape";
import { createLocalJWKSet, errors } from "jose";
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import { Flights, type FlightsOptions } from "../../shared/flights.ts";
import { HubError } from "../answers/hub-error.ts";

export interface KeySetOptions {
  readonly issuer: string;
  /** Fetches the key set; rejects if the issuer is down, or its answer is not a key set. */
  readonly load: () => Promise<JSONWebKeySet>;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Keys this old are fetched anew in the background, ms. Default 10 min: a revoked key still counts for that long. */
  readonly maxAgeMs?: number;
  /** The least time between two fetches, ms. Default 10 s. */
  readonly cooldownMs?: number;
  /** How those who wait for the keys share one fetch. */
  readonly flights?: FlightsOptions | undefined;
}

/** The least time between two fetches while none has succeeded, ms. */
const FIRST_COOLDOWN_MS = 1_000;

/** Finds the key of a token. @throws {HubError} "unavailable" if the issuer cannot be asked; {errors.JWKSNoMatchingKey} */
export function createKeySet(options: KeySetOptions): JWTVerifyGetKey {
  const { issuer, load, now, maxAgeMs = 600_000, cooldownMs = 10_000 } = options;
  const logger = getLogger(["tidings", "edge", "auth"]);
  let keys: JWTVerifyGetKey | undefined;
  let loadedAt = -Infinity;
  let triedAt = -Infinity;
  let away = false;
  const loading = new Flights<void>(options.flights);

  async function fetchKeys(): Promise<void> {
    triedAt = now();
    try {
      keys = createLocalJWKSet(await load());
      loadedAt = now();
      away = false;
    } catch (error) {
      away = true;
      logger.warn("The keys of issuer {issuer} could not be fetched: {error}", { issuer, error });
    }
  }

  /** Fetches, or waits for the fetch in flight; not within the cooldown. */
  async function refresh(cooldown: number): Promise<void> {
    if (loading.has(issuer) || now() - triedAt >= cooldown) await loading.join(issuer, fetchKeys);
  }

  const unavailable = () =>
    new HubError("unavailable", "The keys of the token's issuer cannot be fetched now; try again a little later.");

  return async (header, token) => {
    if (keys === undefined) await refresh(FIRST_COOLDOWN_MS);
    else if (now() - loadedAt >= maxAgeMs) void refresh(cooldownMs);
    if (keys === undefined) throw unavailable();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh(cooldownMs);
      try {
        return await keys(header, token);
      } catch (again) {
        // Whether the issuer has such a key is not known, and the client must not throw its token away for that.
        throw away ? unavailable() : again;
      }
    }
  };
}
