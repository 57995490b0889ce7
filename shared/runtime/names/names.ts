// The names of strangers: looked up without a thread, remembered for a while, and with fair shares of the look-ups in flight, so that
// nobody's name server is felt by anybody else (ARCHITECTURE §4 "Names").

import { Flights } from "../../flights.ts";
import { FairPool, NoPlaceError } from "../../shares/fair-pool.ts";
import { hostOf } from "../../shares/host-of.ts";
import { NOBODY } from "../../shares/requester.ts";
import type { Standing } from "../../shares/standing.ts";
import { Memory } from "./memory.ts";
import { type Found, NameError, Resolver } from "./resolver.ts";
import { HOSTS_FILE, RESOLV_CONF, SystemFiles } from "./system-files.ts";

export interface Names {
  /**
   * All addresses of a host name, which is no address itself. `requester`: on whose behalf (shared/shares/requester.ts); without one the
   * name stands for itself. @throws {NameError}
   */
  lookUp(name: string, requester?: string): Promise<Found>;
}

export interface NamesOptions {
  /** Default: the system's. */
  readonly hostsFile?: string;
  readonly resolvConf?: string;
  /** Of all name servers. Default 53. */
  readonly port?: number;
  /** How long a look-up waits for its place, ms. Default 5 s. */
  readonly waitMs?: number;
  /** Monotonic, ms. Default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Look-ups in flight. Each has up to four sockets while a name server says nothing, and common name servers forward no more than some
 * hundred questions at once.
 */
const PLACES = {
  most: 256,
  of: { proven: 96, slow: 0, new: 96, failing: 64 },
  perHost: { proven: 48, slow: 0, new: 32, failing: 16 },
  forNewcomers: 1 / 8,
} as const;
const MOST_WAITING = 10_000;
/** What a name server says counts for so long at most: an address that moves is followed within a minute. */
const LONGEST_MS = 30_000;
/** What it says counts for so long at least, else each connection would ask anew. */
const SHORTEST_MS = 1_000;
const FAILURE_MS = 5_000;
const MOST_NAMES = 8_192;
/** Names and domains of which it is remembered how their last look-up went. */
const MOST_STANDINGS = 32_768;
const LOCALHOST = /^(?:.+\.)?localhost$/;
const LOOPBACK = /^(?:127\.|::1$)/;

type Known = { readonly found: Found } | { readonly error: NameError };

/** Opens nothing, and keeps nothing open. */
export function createNames(options: NamesOptions = {}): Names {
  const { hostsFile = HOSTS_FILE, resolvConf = RESOLV_CONF, port = 53 } = options;
  const { waitMs = 5_000, now = () => performance.now() } = options;
  const files = new SystemFiles({ hostsFile, resolvConf, now });
  const resolver = new Resolver(files, port);
  const known = new Memory<Known>(MOST_NAMES, now);
  /** Of names and domains. A domain's owner makes up names as he likes, so a domain proves nothing for them. */
  const [proven, failing] = [new Memory<true>(MOST_STANDINGS, now), new Memory<true>(MOST_STANDINGS, now)];
  const places = new FairPool({ ...PLACES, mostWaiting: MOST_WAITING });
  const waiting = new Flights<Found>();
  const questions = new Flights<Found>();
  let version = files.version;

  async function question(name: string, host: string): Promise<Found> {
    const asOf = files.version;
    const remember = (value: Known, ms: number) => {
      // What was asked by files that have changed since counts for this time only.
      if (asOf === files.version) known.set(name, value, ms);
    };
    try {
      const { ttlMs, ...found } = await resolver.lookUp(name);
      remember({ found }, Math.min(LONGEST_MS, Math.max(SHORTEST_MS, ttlMs)));
      proven.set(name, true, Infinity);
      failing.delete(host);
      return found;
    } catch (error) {
      if (!(error instanceof NameError)) throw error;
      remember({ error }, FAILURE_MS);
      proven.delete(name);
      if (error.code === "EAI_AGAIN") failing.set(host, true, Infinity);
      throw error;
    }
  }

  async function inTurn(name: string, host: string, requester: string): Promise<Found> {
    const standing: Standing = proven.get(name) === true ? "proven" : failing.get(host) === true ? "failing" : "new";
    const claim = { requester, host, standing };
    try {
      return await places.run(claim, async () => {
        // It may have become known while this waited.
        const already = known.get(name);
        if (already !== undefined) return resultOf(already);
        return await questions.join(name, () => question(name, host));
      }, { waitMs });
    } catch (error) {
      if (!(error instanceof NoPlaceError)) throw error;
      throw new NameError(name, "EAI_AGAIN", "could not be looked up: too many look-ups of the same requester or host");
    }
  }

  return {
    lookUp: async (given, requester) => {
      files.look();
      if (version !== files.version) known.clear();
      version = files.version;
      const name = given.toLowerCase();
      const plain = name.endsWith(".") ? name.slice(0, -1) : name;
      const listed = files.hosts.get(plain);
      if (LOCALHOST.test(plain)) return loopback(listed ?? files.hosts.get("localhost"));
      if (listed !== undefined) return { addresses: listed };
      const already = known.get(name);
      if (already !== undefined) return resultOf(already);
      const host = hostOf(plain);
      const by = requester === undefined || requester === NOBODY ? host : requester;
      return await waiting.join(`${name} ${by}`, () => inTurn(name, host, by));
    },
  };
}

/** RFC 6761 §6.3: whatever a hosts file says, such a name means this machine. */
function loopback(listed: readonly string[] = []): Found {
  const addresses = listed.filter((address) => LOOPBACK.test(address));
  return { addresses: addresses.length > 0 ? addresses : ["::1", "127.0.0.1"] };
}

function resultOf(known: Known): Found {
  if ("error" in known) throw known.error;
  return known.found;
}
