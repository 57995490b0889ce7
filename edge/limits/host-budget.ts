// Verification is an amplifier: one request makes the hub call a host that the requester chose, up to three times, and up to six if
// the core takes over. So each callback host has, at each edge, a budget of intents that it has not confirmed. A confirmation gives
// its place back at once; other places come back with time. A host that confirms what it is asked never reaches the limit.

export interface HostBudget {
  /** Takes a place for one intent; false if the host has none left. */
  take(host: string): boolean;
  /** The host said yes, or the intent came to nothing before it was asked. */
  giveBack(host: string): void;
}

export interface HostBudgetOptions {
  /** Places of one host, all of which come back within `refillMs`. 0: no limit. */
  readonly places: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Default 60 s. */
  readonly refillMs?: number;
  /** Hosts remembered at most; above it, the one known longest begins anew. */
  readonly mostHosts: number;
}

interface Account {
  used: number;
  at: number;
}

export function createHostBudget(
  { places, now, refillMs = 60_000, mostHosts }: HostBudgetOptions,
): HostBudget {
  if (places === 0) return { take: () => true, giveBack: () => {} };
  const accounts = new Map<string, Account>();

  /** The account as of now; an account without used places is dropped. */
  function settle(host: string): Account | undefined {
    const account = accounts.get(host);
    if (account === undefined) return undefined;
    const time = now();
    account.used -= (time - account.at) * places / refillMs;
    account.at = time;
    if (account.used > 0) return account;
    accounts.delete(host);
    return undefined;
  }

  return {
    take: (name) => {
      const host = unrooted(name);
      const account = settle(host);
      if (account === undefined) {
        // Refusing new hosts instead would let one requester lock out all others.
        if (accounts.size >= mostHosts) accounts.delete(accounts.keys().next().value!);
        accounts.set(host, { used: 1, at: now() });
        return true;
      }
      if (account.used + 1 > places) return false;
      account.used += 1;
      return true;
    },
    giveBack: (name) => {
      const host = unrooted(name);
      const account = settle(host);
      if (account === undefined) return;
      account.used -= 1;
      if (account.used <= 0) accounts.delete(host);
    },
  };
}

/** "host." is "host" to every resolver. */
function unrooted(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
