// How many subscriptions and topics one client may have (SUBSCRIPTIONS_PER_CLIENT, TOPICS_PER_CLIENT), by the counts that the
// replica keeps with the state. Whoever shows no token is nobody that could be told from another, and is not counted.
import type { ClientIdentity } from "../../shared/core-api.ts";
import { countNameOf } from "../replica/counts.ts";
import type { Replica } from "../replica/replica.ts";
import type { StateStream } from "../replica/states.ts";
import { Refusal } from "./refusal.ts";

export type Quota = "subscriptions" | "topics";
export const QUOTAS: readonly Quota[] = ["subscriptions", "topics"];

/** Room that was taken for something new, until the replica counts it. One of these must be called. */
export interface Room {
  /** It stands at this offset of `events`. */
  appended(stream: StateStream, shard: number, offset: number): void;
  /** Nothing came of it. */
  giveBack(): void;
}

export interface QuotasOptions {
  readonly replica: Pick<Replica, "count" | "reached">;
  /** 0: any number. */
  readonly most: Readonly<Record<Quota, number>>;
  readonly onRefused: (quota: Quota) => void;
}

export interface Quotas {
  /**
   * Takes room for what a client is about to make; `makes` says what of it would be new, and is asked again if room is short. In
   * one core the bound is exact; several may pass it by what the others took since their replicas saw it, some milliseconds.
   * @throws {Refusal} "too_many"
   */
  take(client: ClientIdentity | undefined, makes: () => Promise<readonly Quota[]>): Promise<Room>;
}

/** Longer than a replica is behind. */
const COUNTED_WITHIN_MS = 60_000;
const FREE: Room = { appended: () => {}, giveBack: () => {} };
const NAMES: Readonly<Record<Quota, string>> = {
  subscriptions: "TIDINGS_SUBSCRIPTIONS_PER_CLIENT",
  topics: "TIDINGS_TOPICS_PER_CLIENT",
};

export function createQuotas({ replica, most, onRefused }: QuotasOptions): Quotas {
  /** By client: what was let in, and may not be counted yet. Each ends when it is. */
  const underWay = new Map<string, Map<object, Promise<void>>>();

  /** What there is no room for, if `more` are on their way beside this one. */
  async function short(client: ClientIdentity, made: readonly Quota[], more: number): Promise<Quota | undefined> {
    for (const quota of made) {
      if (most[quota] === 0) continue;
      const counted = quota === "subscriptions"
        ? [replica.count(countNameOf("subscriptions", client))]
        // A subscription that is verified makes its topic: room for it is taken when it is asked for.
        : [replica.count(countNameOf("topics", client)), replica.count(countNameOf("pending", client))];
      const sum = (await Promise.all(counted)).reduce((one, other) => one + other, more);
      if (sum >= most[quota]) return quota;
    }
    return undefined;
  }

  return {
    async take(client, makes) {
      if (client === undefined || QUOTAS.every((quota) => most[quota] === 0)) return FREE;
      const name = countNameOf("topics", client);
      const others = underWay.get(name) ?? new Map<object, Promise<void>>();
      underWay.set(name, others);
      const before = [...others.values()];
      const { promise, resolve } = Promise.withResolvers<void>();
      const room: Room = {
        appended: (stream, shard, offset) =>
          void replica.reached(stream, shard, offset + 1, COUNTED_WITHIN_MS).finally(() => room.giveBack()),
        giveBack() {
          others.delete(room);
          if (others.size === 0 && underWay.get(name) === others) underWay.delete(name);
          resolve();
        },
      };
      others.set(room, promise);
      try {
        if (await short(client, await makes(), before.length) === undefined) return room;
        // Some of those may be counted already: after them it is known.
        await Promise.all(before);
        const quota = await short(client, await makes(), 0);
        if (quota === undefined) return room;
        onRefused(quota);
        throw new Refusal(
          "too_many",
          `This client has ${most[quota]} ${quota}, as many as ${NAMES[quota]} lets it have; end some first`,
        );
      } catch (error) {
        room.giveBack();
        throw error;
      }
    },
  };
}
