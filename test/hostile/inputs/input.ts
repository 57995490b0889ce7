// One parser of outside input, and the texts that it is fed.

export interface Input {
  /** The file that it stands in. */
  readonly path: string;
  /** What it parses. */
  readonly what: string;
  /** Parses a text. A refusal is an answer. */
  readonly run: (text: string) => unknown;
  /** What stands before and after the part that grows. */
  readonly around: readonly (readonly [before: string, after: string])[];
  /** The units that are hardest for it. */
  readonly worst: readonly string[];
}

/** An input whose parser may throw, or reject. */
export function input(
  path: string,
  what: string,
  run: (text: string) => unknown,
  around: Input["around"],
  worst: readonly string[],
): Input {
  return {
    path,
    what,
    around,
    worst,
    run: (text) => {
      try {
        const result = run(text);
        return result instanceof Promise ? result.catch(() => {}) : result;
      } catch {
        return undefined;
      }
    },
  };
}

export const BARE = [["", ""]] as const;

/** The text as bytes, a character each. */
export const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** Headers with one of this name; null if no request can carry such a value. */
export function headersWith(...pairs: readonly (readonly [name: string, value: string])[]): Headers {
  return new Headers(pairs.map(([name, value]) => [name, value]));
}

/** About `length` characters: the unit again and again, between what stands around it. */
export function textOf(unit: string, [before, after]: readonly [string, string], length: number): string {
  return before + unit.repeat(Math.max(1, Math.round(length / unit.length))) + after;
}
