// A setting, as the tables of settings have it (WIRE §8): its name, its default, what it is for, what its text may be.
import type { Value } from "./values.ts";

/** A default that follows another setting; docs/settings.md shows `shown`, or what it makes of the other's name. */
export interface Following {
  readonly from: string;
  readonly make: (other: string, isSet: (name: string) => boolean) => string;
  readonly shown?: string;
}

/** A default is text as one would write it, text that follows another setting, or nothing: then `unset` is the value. */
export interface Row<T> {
  readonly name: string;
  readonly default: string | Following | null;
  readonly unset?: T;
  /** What the setting is. This and the next two are sentences of docs/settings.md. */
  readonly what: string;
  /** What each of the value's words means, if it has `words`. */
  readonly meanings?: Readonly<Record<string, string>>;
  /** When to change it. */
  readonly change: string;
  readonly value: Value<T>;
  /** Its value is never printed. */
  readonly secret?: true;
}

/** Types a row by its value. */
export const row = <T>(row: Row<T>): Row<T> => row;

/** What a row's text becomes. */
export type ValueOf<R> = R extends Row<infer T> ? T : never;

/** What a table's settings become: the same keys, and the values of their rows. */
export type ValuesOf<Rows> = { readonly [Key in keyof Rows]: ValueOf<Rows[Key]> };
