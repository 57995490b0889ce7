// The system's files about names: /etc/hosts and /etc/resolv.conf. They are read again when they have changed, as a cluster or a
// network changes them while the hub runs.

import { readFileSync, statSync } from "node:fs";
import { getServers } from "node:dns";
import ipaddr from "ipaddr.js";

/** What resolv.conf(5) says, with the defaults of the GNU C library. */
export interface ResolvConf {
  readonly servers: readonly string[];
  /** Domains in which a short name is looked for. */
  readonly search: readonly string[];
  /** A name with fewer dots is looked for in the search domains first. */
  readonly ndots: number;
  /** How long one server has to answer, ms. */
  readonly timeoutMs: number;
  /** How often all servers are asked. */
  readonly attempts: number;
  /** Each question begins at another server. */
  readonly rotate: boolean;
  readonly tcp: boolean;
  /** IPv6 addresses are not asked for. */
  readonly onlyIpv4: boolean;
}

/** Addresses by their names, which are in lower case and have no final dot. */
export type Hosts = ReadonlyMap<string, readonly string[]>;

export const HOSTS_FILE = "/etc/hosts";
export const RESOLV_CONF = "/etc/resolv.conf";

const MOST_SERVERS = 3;

/** Reads a resolv.conf; lines that make no sense are skipped. It may yield no server. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  const options = new Map<string, string>();
  for (const line of text.split("\n")) {
    // A comment begins in the first column, or after the values of a line.
    const [word, ...values] = line.split(/[#;]/, 1)[0]!.split(/\s+/).filter((part) => part !== "");
    if (word === "nameserver" && isAddress(values[0]) && servers.length < MOST_SERVERS) servers.push(values[0]);
    // The last of these lines counts.
    if (word === "search" || word === "domain") search = values.map(withoutDot).filter((domain) => domain !== "");
    if (word !== "options") continue;
    for (const option of values) {
      const [name = "", value = ""] = option.split(":", 2);
      options.set(name, value);
    }
  }
  const number = (name: string, most: number, otherwise: number, least = 1) => {
    const text = options.get(name) ?? "";
    return /^\d+$/.test(text) ? Math.min(most, Math.max(least, Number(text))) : otherwise;
  };
  return {
    servers,
    search,
    ndots: number("ndots", 15, 1, 0),
    timeoutMs: 1_000 * number("timeout", 30, 5),
    attempts: number("attempts", 5, 2),
    rotate: options.has("rotate"),
    tcp: options.has("use-vc"),
    onlyIpv4: options.has("no-aaaa"),
  };
}

/** Reads a hosts file: an address and its names on each line. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address, ...names] = line.split("#", 1)[0]!.split(/\s+/).filter((part) => part !== "");
    if (!isAddress(address)) continue;
    for (const name of names) {
      const key = withoutDot(name.toLowerCase());
      const known = hosts.get(key);
      if (known === undefined) hosts.set(key, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return hosts;
}

function isAddress(text: string | undefined): text is string {
  return text !== undefined && (ipaddr.IPv4.isValidFourPartDecimal(text) || text.includes(":") && ipaddr.isValid(text));
}

function withoutDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

export interface SystemFilesOptions {
  readonly hostsFile: string;
  readonly resolvConf: string;
  /** Monotonic, ms. */
  readonly now: () => number;
}

/** How often the files are looked at, ms. */
const LOOK_MS = 1_000;

/** Both files as they are now. */
export class SystemFiles {
  readonly #now: () => number;
  readonly #hostsFile: Watched<Hosts>;
  readonly #resolvConf: Watched<ResolvConf>;
  #lookedAt = -Infinity;
  /** Grows by one with each change. */
  version = 0;

  constructor({ hostsFile, resolvConf, now }: SystemFilesOptions) {
    this.#now = now;
    this.#hostsFile = new Watched(hostsFile, parseHosts);
    this.#resolvConf = new Watched(resolvConf, (text) => withServers(parseResolvConf(text)));
    this.look();
  }

  get hosts(): Hosts {
    return this.#hostsFile.value;
  }
  get resolvConf(): ResolvConf {
    return this.#resolvConf.value;
  }

  /**
   * Reads again what has changed. Synchronous on purpose: a read in the background would wait on the very threads that the system's
   * own look-ups may fill.
   */
  look(): void {
    if (this.#now() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = this.#now();
    const changed = [this.#hostsFile.look(), this.#resolvConf.look()];
    if (changed.includes(true)) this.version++;
  }
}

/** The servers of the system's own settings where no file names one, else this machine's, as resolv.conf(5) says. */
function withServers(conf: ResolvConf): ResolvConf {
  if (conf.servers.length > 0) return conf;
  try {
    const servers = getServers().filter(isAddress);
    if (servers.length > 0) return { ...conf, servers: servers.slice(0, MOST_SERVERS) };
  } catch {
    // Deno does not tell them without a permission for more.
  }
  return { ...conf, servers: ["127.0.0.1"] };
}

/** One file and what was read from it; a file that is not there reads as empty. */
class Watched<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #state = "";
  value: T;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.value = parse("");
  }

  /** Whether it has changed. */
  look(): boolean {
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(this.#path);
      const state = [mtimeMs, ctimeMs, size, ino].join();
      if (state === this.#state) return false;
      this.value = this.#parse(readFileSync(this.#path, "utf8"));
      this.#state = state;
    } catch {
      if (this.#state === "") return false;
      this.value = this.#parse("");
      this.#state = "";
    }
    return true;
  }
}
