// Tokens that were verified a moment ago: a signature check costs more than all else that the edge does for a request.

export interface TokenCache<T> {
  get(token: string): T | undefined;
  /** Remembers until `until`, ms since 1970. `moreBytes` is what the value takes beyond `ENTRY_BYTES`. */
  set(token: string, value: T, until: number, moreBytes?: number): void;
  forget(token: string): void;
  readonly size: number;
}

/** An entry takes this much beside its token's characters, bytes: anyone can make up short tokens. */
export const ENTRY_BYTES = 512;

/**
 * Beyond `mostBytes` it forgets the least recently used tokens; callers cannot raise that (ARCHITECTURE §6.7). `clock` is ms since
 * 1970.
 */
export function createTokenCache<T>(clock: () => number, mostBytes: number): TokenCache<T> {
  const entries = new Map<string, { readonly value: T; readonly until: number; readonly bytes: number }>();
  let bytes = 0;

  function forget(token: string): void {
    bytes -= entries.get(token)?.bytes ?? 0;
    entries.delete(token);
  }

  return {
    get(token) {
      const entry = entries.get(token);
      if (entry === undefined) return undefined;
      if (entry.until <= clock()) {
        forget(token);
        return undefined;
      }
      entries.delete(token);
      // Used last, forgotten last.
      entries.set(token, entry);
      return entry.value;
    },
    set(token, value, until, moreBytes = 0) {
      forget(token);
      if (until <= clock()) return;
      const size = token.length + ENTRY_BYTES + moreBytes;
      entries.set(token, { value, until, bytes: size });
      bytes += size;
      for (const oldest of entries.keys()) {
        if (bytes <= mostBytes) break;
        forget(oldest);
      }
    },
    forget,
    get size() {
      return entries.size;
    },
  };
}
