// A Worker's settings: its text bindings, read by the parser that reads a process's environment. A setting that a Worker cannot obey is
// refused, since an operator would rely on it.
import { isLoopback, isLoopbackUrl } from "../../settings/values.ts";
import { parseSettings, PREFIX, type Settings, SettingsError } from "../../settings/settings.ts";
import { type EdgeKey, KeyError, parseEdgeKey } from "../../jwks.ts";

/** What a Worker is given: text, secrets, and services. */
export type Bindings = Readonly<Record<string, unknown>>;

export interface Fetcher {
  readonly fetch: typeof fetch;
}

export interface WorkerSettings {
  readonly settings: Settings;
  readonly key: EdgeKey;
  /** How the core is reached; undefined: by the internet. */
  readonly core: Fetcher | undefined;
}

/** Anyone can call a Worker, so it needs all the settings that a process needs off loopback. */
const FROM_ANYWHERE = { [`${PREFIX}EDGE_LISTEN`]: "0.0.0.0:443" };

/** Why a setting has no place on a Worker. */
const REFUSED: Readonly<Record<string, string>> = {
  EDGE_TLS_CERT: "Cloudflare ends TLS in front of it",
  EDGE_TLS_KEY: "Cloudflare ends TLS in front of it",
  EDGE_OPERATING_LISTEN: "it has no second listener; bind its entrypoint `operating` to another Worker",
  DATA_DIR: "it has no disk",
  CORE_KEYS: "they are the cores' own, and an edge must not have them",
  EDGE_KEYS: "the cores read it; its own key is TIDINGS_EDGE_KEY",
  CORE_TLS_CERT: "it has no files; bind an mTLS certificate as CORE",
  CORE_TLS_KEY: "it has no files; bind an mTLS certificate as CORE",
  CORE_CA: "it trusts public authorities only; reach the core by a tunnel or by a service that is bound as CORE",
  ISSUER_CA: "it trusts public authorities only; reach the identity provider by a name that one of them has certified",
  TRUSTED_PROXIES: "it does not see who its peer is; name the platform's header in TIDINGS_ADDRESS_HEADER",
};

function reasonAgainst(name: string): string | undefined {
  return Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
}

/**
 * Reads what is bound. `longestBody` is what its memory allows, bytes.
 * @throws {SettingsError} a sentence that names the binding, and no secret
 */
export function parseBindings(bindings: Bindings, longestBody: number): WorkerSettings {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(bindings)) {
    if (!name.startsWith(PREFIX)) continue;
    if (typeof value !== "string") throw new SettingsError(`${name} must be bound as text, a var or a secret`);
    const reason = reasonAgainst(name.slice(PREFIX.length));
    if (reason !== undefined) throw new SettingsError(`${name} has no effect on a Worker: ${reason}`);
    environment[name] = value;
  }
  const settings = parseSettings({ ...FROM_ANYWHERE, ...environment });
  if (settings.messageMaxBytes > longestBody) {
    throw new SettingsError(
      `${PREFIX}MESSAGE_MAX_BYTES is ${settings.messageMaxBytes}; a Worker's memory has room for ${longestBody} at most`,
    );
  }
  const core = fetcherOf(bindings["CORE"]);
  if (core === undefined && environment[`${PREFIX}CORE_URL`] === undefined) {
    throw new SettingsError(
      `${PREFIX}CORE_URL is not bound: it says where the core is, unless a service is bound as CORE`,
    );
  }
  return { settings, key: keyOf(settings.edgeKey), core };
}

function keyOf(written: string | undefined): EdgeKey {
  const name = `${PREFIX}EDGE_KEY`;
  if (written === undefined) {
    throw new SettingsError(`${name} is not bound: a Worker has no data directory, so its key must be a secret`);
  }
  try {
    return parseEdgeKey(written);
  } catch (error) {
    if (error instanceof KeyError) throw new SettingsError(`${name} ${error.message}`);
    throw error;
  }
}

function fetcherOf(bound: unknown): Fetcher | undefined {
  if (bound === undefined) return undefined;
  const isFetcher = typeof bound === "object" && bound !== null && "fetch" in bound &&
    typeof bound.fetch === "function";
  if (!isFetcher) throw new SettingsError("CORE must be bound to a service or to an mTLS certificate");
  return bound as Fetcher;
}

/**
 * Whether anyone could do anything: ACCESS is open because EDGE_LISTEN says that only this machine can call, and this request was
 * sent to another name.
 */
export function isOpenToAll({ access, edgeListen }: Settings, url: string): boolean {
  // A request whose Host is not one has a URL that cannot be parsed.
  return access === "open" && isLoopback(edgeListen.host) && !isLoopbackUrl(url);
}
