// How many subscriptions and topics one client may have (SUBSCRIPTIONS_PER_CLIENT, TOPICS_PER_CLIENT), by the counts that the
// replica keeps with the state. Clients without a token cannot be told apart, and are not counted.
import type { ClientIdentity } from "../../shared/core-api.ts";
import type { Position } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { countNameOf, countNamesOf, type StateStream } from "../replica/states.ts";
import { Refusal } from "./refusal.ts";

export type Quota = "subscriptions" | "topics";
export const QUOTAS: readonly Quota[] = ["subscriptions", "topics"];

export interface QuotasOptions {
  readonly replica: Pick<Replica, "count" | "reached">;
  /** 0: any number. */
  readonly most: Readonly<Record<Quota, number>>;
  readonly onRefused: (quota: Quota) => void;
}

/** What a client is about to make. */
export interface Creation {
  /** undefined: the anonymous client, which has no quota. */
  readonly client: ClientIdentity | undefined;
  /** Which quotas it would use; asked again if they are nearly used up. */
  readonly uses: () => Promise<readonly Quota[]>;
  /** The stream of the replica that counts it. */
  readonly countedIn: StateStream;
  /** Makes it; yields where its event stands in `events`. */
  readonly append: () => Promise<Position>;
}

export interface Quotas {
  /**
   * Appends what a client makes, if its quotas allow it; yields what `append` yields. In one core the bound is exact. Several cores
   * together may exceed it by what the others appended since their replicas last saw it, within some milliseconds.
   * @throws {Refusal} "too_many", and what `append` throws
   */
  appendWithin(creation: Creation): Promise<Position>;
}

/** A reservation ends after this time even if the replica has not counted it, ms. */
const COUNTED_WITHIN_MS = 60_000;
const SETTINGS: Readonly<Record<Quota, string>> = {
  subscriptions: "TIDINGS_SUBSCRIPTIONS_PER_CLIENT",
  topics: "TIDINGS_TOPICS_PER_CLIENT",
};

/** A client's use of its quotas from before the append until the replica counts it. */
interface Reservation {
  readonly ended: Promise<void>;
  readonly end: () => void;
}

export function createQuotas({ replica, most, onRefused }: QuotasOptions): Quotas {
  const reservations = new Map<string, Set<Reservation>>();

  /** The quota that is used up, if `others` more are reserved; undefined if none is. */
  async function usedUp(
    client: ClientIdentity,
    uses: readonly Quota[],
    others: number,
  ): Promise<Quota | undefined> {
    for (const quota of uses) {
      if (most[quota] === 0) continue;
      // A subscription that is verified makes its topic: the subscribe already uses the quota of topics.
      const counted = quota === "subscriptions" ? ["subscriptions" as const] : ["topics" as const, "pending" as const];
      const names = counted.flatMap((one) => countNamesOf(one, client));
      const sum = (await Promise.all(names.map((name) => replica.count(name)))).reduce(
        (one, other) => one + other,
        others,
      );
      if (sum >= most[quota]) return quota;
    }
    return undefined;
  }

  /** @throws {Refusal} "too_many" */
  async function reserve(client: ClientIdentity, uses: Creation["uses"]): Promise<Reservation> {
    const name = countNameOf("topics", client);
    const ofClient = reservations.get(name) ?? new Set<Reservation>();
    reservations.set(name, ofClient);
    const before = [...ofClient];
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const reservation: Reservation = {
      ended,
      end() {
        ofClient.delete(reservation);
        if (ofClient.size === 0 && reservations.get(name) === ofClient) reservations.delete(name);
        resolve();
      },
    };
    ofClient.add(reservation);
    try {
      if (await usedUp(client, await uses(), before.length) === undefined) return reservation;
      // The replica may already count some of the earlier reservations. After they have ended the counts are exact.
      await Promise.all(before.map(({ ended }) => ended));
      const quota = await usedUp(client, await uses(), 0);
      if (quota === undefined) return reservation;
      onRefused(quota);
      throw new Refusal(
        "too_many",
        `This client has ${most[quota]} ${quota}, as many as ${SETTINGS[quota]} lets it have; end some first`,
      );
    } catch (error) {
      reservation.end();
      throw error;
    }
  }

  return {
    async appendWithin({ client, uses, countedIn, append }) {
      if (client === undefined || QUOTAS.every((quota) => most[quota] === 0)) return await append();
      const reservation = await reserve(client, uses);
      try {
        const at = await append();
        void replica.reached(countedIn, at.partition, at.offset + 1, COUNTED_WITHIN_MS).finally(reservation.end);
        return at;
      } catch (error) {
        reservation.end();
        throw error;
      }
    },
  };
}
