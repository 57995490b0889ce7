// Verification is an amplifier: one request makes the hub call a host that the requester chose, up to three times, and up to six if
// the core takes over. So each requester has, at each edge, a budget of intents to each callback host that the host has not confirmed. A
// confirmation gives its place back at once; other places come back with time. All requesters together may have four times as much of one
// host, in fair shares: who has spent little finds a place there, whatever others spend.

export interface HostBudget {
  /** Takes a place for one intent; false if the requester has none left at this host. `host` as `hostOf` yields it. */
  take(requester: string, host: string): boolean;
  /** The host said yes, or the intent came to nothing before it was asked. */
  giveBack(requester: string, host: string): void;
}

export interface HostBudgetOptions {
  /** Places of one requester at one host, all of which come back within `refillMs`. 0: no limit. */
  readonly places: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Default 60 s. */
  readonly refillMs?: number;
  /** Hosts, and requesters at hosts, remembered at most; above it, the one known longest begins anew. */
  readonly mostHosts: number;
}

/** Places of a host for all requesters together, in those of one. */
const TOGETHER = 4;

export function createHostBudget(
  { places, now, refillMs = 60_000, mostHosts }: HostBudgetOptions,
): HostBudget {
  if (places === 0) return { take: () => true, giveBack: () => {} };
  const bounds = { now, refillMs, most: mostHosts };
  const own = new Accounts({ ...bounds, places });
  const together = new Accounts({ ...bounds, places: TOGETHER * places });
  const keyOf = (requester: string, host: string) => `${host}\0${requester}`;

  return {
    take: (requester, host) => {
      const key = keyOf(requester, host);
      const used = own.used(key);
      const left = TOGETHER * places - together.used(host);
      if (used + 1 > places || left < 1 || (used > 0 && used + 1 > left)) return false;
      own.add(key);
      together.add(host);
      return true;
    },
    giveBack: (requester, host) => {
      const key = keyOf(requester, host);
      if (own.used(key) === 0) return;
      own.remove(key);
      together.remove(host);
    },
  };
}

interface Account {
  used: number;
  at: number;
}

/** Places that are used, by a key; they come back with time. */
class Accounts {
  readonly #bounds: Pick<Required<HostBudgetOptions>, "places" | "now" | "refillMs"> & { readonly most: number };
  readonly #accounts = new Map<string, Account>();

  constructor(bounds: Pick<Required<HostBudgetOptions>, "places" | "now" | "refillMs"> & { readonly most: number }) {
    this.#bounds = bounds;
  }

  used(key: string): number {
    return this.#settled(key)?.used ?? 0;
  }

  add(key: string): void {
    const account = this.#settled(key);
    if (account !== undefined) return void (account.used += 1);
    // Refusing new keys instead would let one requester lock out all others.
    if (this.#accounts.size >= this.#bounds.most) this.#accounts.delete(this.#accounts.keys().next().value!);
    this.#accounts.set(key, { used: 1, at: this.#bounds.now() });
  }

  remove(key: string): void {
    const account = this.#settled(key);
    if (account === undefined) return;
    account.used -= 1;
    if (account.used <= 0) this.#accounts.delete(key);
  }

  /** The account as of now; an account without used places is dropped. */
  #settled(key: string): Account | undefined {
    const account = this.#accounts.get(key);
    if (account === undefined) return undefined;
    const { now, places, refillMs } = this.#bounds;
    const time = now();
    account.used -= (time - account.at) * places / refillMs;
    account.at = time;
    if (account.used > 0) return account;
    this.#accounts.delete(key);
    return undefined;
  }
}
