// Tokens that were verified a moment ago: a signature check costs more than all else that the edge does for a request.

export interface TokenCache<T> {
  get(token: string): T | undefined;
  /** Remembers until `until`, ms since 1970. */
  set(token: string, value: T, until: number): void;
  forget(token: string): void;
  readonly size: number;
}

/** The length of all tokens together, which callers cannot raise (ARCHITECTURE §6.7). */
const MOST_CHARACTERS = 16 * 1_024 * 1_024;

/** Beyond so many characters of tokens it forgets the least recently used ones. `clock` is ms since 1970. */
export function createTokenCache<T>(clock: () => number, mostCharacters = MOST_CHARACTERS): TokenCache<T> {
  const entries = new Map<string, { readonly value: T; readonly until: number }>();
  let characters = 0;

  function forget(token: string): void {
    if (entries.delete(token)) characters -= token.length;
  }

  return {
    get(token) {
      const entry = entries.get(token);
      if (entry === undefined) return undefined;
      entries.delete(token);
      if (entry.until <= clock()) {
        characters -= token.length;
        return undefined;
      }
      // Used last, forgotten last.
      entries.set(token, entry);
      return entry.value;
    },
    set(token, value, until) {
      forget(token);
      if (until <= clock()) return;
      entries.set(token, { value, until });
      characters += token.length;
      for (const oldest of entries.keys()) {
        if (characters <= mostCharacters) break;
        forget(oldest);
      }
    },
    forget,
    get size() {
      return entries.size;
    },
  };
}
