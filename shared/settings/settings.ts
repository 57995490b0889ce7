// The settings (WIRE §8): environment variables with one prefix, read once at start into one frozen object. The parser,
// `--print-config` and docs/settings.md (`npm run settings`) are made of the tables of rows.
import { closest } from "fastest-levenshtein";
import * as v from "valibot";
import { ACCESS_ROWS, accessProblem } from "./access.ts";
import { DELIVERY_ROWS, deliveryProblem } from "./delivery.ts";
import { KAFKA_ROWS, kafkaProblem } from "./kafka.ts";
import { LIMIT_ROWS } from "./limits.ts";
import { PLACE_ROWS } from "./places.ts";
import { type Row, row, type ValuesOf } from "./row.ts";
import { TRANSPORT_ROWS, transportProblem } from "./transport.ts";
import { holdsKeys, MASK, withoutSecrets } from "./masking.ts";
import { oneOf, type Place } from "./values.ts";

export const PREFIX = "TIDINGS_";

type Environment = Readonly<Record<string, string | undefined>>;

/** All settings, in the order in which they are printed; each has its default in its row. */
export const ROWS = {
  // Where processes listen, and their data directory.
  ...PLACE_ROWS,
  ...KAFKA_ROWS,
  // Who may do what.
  ...ACCESS_ROWS,
  // Keys and TLS.
  ...TRANSPORT_ROWS,
  // Topics, messages, leases, attempts, retention, verification, addresses to call.
  ...DELIVERY_ROWS,
  ...LIMIT_ROWS,
  logLevel: row({
    name: "LOG_LEVEL",
    default: "info",
    what: "Least level that is logged, to stderr.",
    meanings: {
      "trace": "Everything.",
      "debug": "What helps to find a fault.",
      "info": "What an operator may want to know.",
      "warning": "What may need somebody.",
      "error": "What went wrong.",
    },
    change: "To see more while you look for a fault.",
    value: oneOf(["trace", "debug", "info", "warning", "error"]),
  }),
} as const;

/** What is in force, typed and frozen; the names are WIRE §8's in camelCase, `…Ms` are milliseconds. */
export type Settings = ValuesOf<typeof ROWS>;

/** The start stops: `message` is one line that names the setting, what is allowed and what was found. */
export class SettingsError extends Error {
  /** The message without what was found: strangers may read it, and a value may be a secret in the wrong place. */
  readonly publicMessage: string;
  constructor(message: string, publicMessage = message) {
    super(message);
    this.name = "SettingsError";
    this.publicMessage = publicMessage;
  }
}

/**
 * Parses the environment into settings.
 * @throws {SettingsError} on an unknown name, a wrong value or a bad combination
 */
export function parseSettings(environment: Environment): Settings {
  refuseUnknownNames(environment);
  const parsed: Record<string, unknown> = {};
  for (const [key, row] of Object.entries<Row<unknown>>(ROWS)) {
    const written = writtenValue(row, environment);
    if (written === null) {
      parsed[key] = row.unset;
      continue;
    }
    const result = v.safeParse(row.value.schema, written);
    if (!result.success) {
      const rule = `${PREFIX}${row.name} must be ${row.value.allowed}`;
      const hint = row.value.hint?.(written);
      const found = `${rule}, not ${row.secret ? "what it is" : shown(written)}`;
      throw new SettingsError(hint === undefined ? found : `${found}: ${hint}`, rule);
    }
    parsed[key] = result.output;
  }
  for (const value of Object.values(parsed)) Object.freeze(value);
  // Each key was parsed by the schema that its type is made of.
  const settings = Object.freeze(parsed) as Settings;
  refuseBadCombinations(settings, environment);
  return settings;
}

/** What was found, for the operator. A key that stands in the wrong setting, or a password in a URL, is not repeated. */
function shown(written: string): string {
  if (holdsKeys(written)) return "what it is";
  const [from, to] = [written.indexOf("://"), written.lastIndexOf("@")];
  const plain = from >= 0 && from < to ? `${written.slice(0, from)}://…${written.slice(to)}` : written;
  return JSON.stringify(withoutSecrets(plain));
}

/** What is in force as `NAME=value` lines, in the table's order, secrets masked (`--print-config`). */
export function printSettings(environment: Environment): string[] {
  parseSettings(environment);
  return Object.values<Row<unknown>>(ROWS).map((row) => {
    const written = writtenValue(row, environment);
    if (written === null) return `# ${PREFIX}${row.name} is not set`;
    return `${PREFIX}${row.name}=${printed(row, written)}`;
  });
}

/** A value without the secrets that may stand in it, by mistake or not. */
function printed({ secret, value }: Row<unknown>, written: string): string {
  if (secret) return MASK;
  return value.printed?.(written) ?? withoutSecrets(written);
}

/** The places on the disk that the settings in force name. */
export function namedPlaces(environment: Environment): { readonly path: string; readonly place: Place }[] {
  return Object.values<Row<unknown>>(ROWS).flatMap((row) => {
    const path = writtenValue(row, environment);
    const place = path === null ? undefined : row.value.place?.(path);
    return path === null || place === undefined ? [] : [{ path, place }];
  });
}

function writtenValue(row: Row<unknown>, environment: Environment): string | null {
  const written = environment[PREFIX + row.name];
  if (written !== undefined) return written;
  if (row.default === null || typeof row.default === "string") return row.default;
  const { from, make } = row.default;
  const other = Object.values<Row<unknown>>(ROWS).find(({ name }) => name === from);
  const isSet = (other: string) => environment[PREFIX + other] !== undefined;
  return other === undefined ? null : make(writtenValue(other, environment) ?? "", isSet);
}

// What Kubernetes injects for services whose names begin with ours (WIRE §8); no setting of ours ends like these.
const KUBERNETES = /_(?:SERVICE_HOST$|SERVICE_PORT(?:_|$)|PORT$|PORT_[0-9]+_(?:TCP|UDP)(?:_|$))/;

function refuseUnknownNames(environment: Environment): void {
  const known = new Set(Object.values<Row<unknown>>(ROWS).map((row) => PREFIX + row.name));
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PREFIX) || known.has(name)) continue;
    if (name.startsWith(`${PREFIX}TEST_`) || KUBERNETES.test(name)) continue;
    throw new SettingsError(`${name} is not a setting; the nearest one is ${closest(name, [...known])}`);
  }
}

function refuseBadCombinations(settings: Settings, environment: Environment): void {
  const written = (name: string) => environment[PREFIX + name];
  const isWritten = (name: string) => written(name) !== undefined;
  // A default that is written out says nothing new.
  const isSet = (name: string) =>
    isWritten(name) && written(name) !== Object.values<Row<unknown>>(ROWS).find((row) => row.name === name)?.default;
  const problem = deliveryProblem(settings) ?? kafkaProblem(settings, isWritten) ?? accessProblem(settings, isSet) ??
    transportProblem(settings, isWritten);
  if (problem !== undefined) throw new SettingsError(problem, problem.replace(/ "(?:[^"\\]|\\.)*"/g, ""));
}
