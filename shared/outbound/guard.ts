// Which addresses, names and ports the hub may call on a stranger's word (WIRE §7). Pure: names are resolved elsewhere
// (shared/runtime/guarded-connect.ts), and every address they resolve to is judged here.

import ipaddr from "ipaddr.js";
import { embeddedAddresses } from "./embedded-addresses.ts";
import type { HttpUrl } from "../http-url.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Why something is not called. A fixed list: it labels a metric. */
export type ForbiddenReason =
  | "port"
  | "localhost"
  | "loopback"
  | "private"
  | "link_local"
  | "shared"
  | "metadata"
  | "multicast"
  | "unspecified"
  | "not_global"
  | "not_an_address"
  /** The URL cannot be called: credentials, no host, another scheme. */
  | "url"
  /** This runtime cannot dial the address that was checked. */
  | "unpinned";

/** What speaks against a call: the reason, and a clause for people that follows the parameter's name. */
export interface Verdict {
  readonly reason: ForbiddenReason;
  readonly clause: string;
}

export interface OutboundGuard {
  /** Judges a URL before its name is resolved: ports, literal addresses, localhost names. null: nothing speaks against it. */
  judgeUrl(url: Pick<HttpUrl, "host" | "port">): Verdict | null;
  /** Judges one resolved address; text that is not an address is refused. null: allowed. */
  judgeAddress(address: string): Verdict | null;
}

/** The guard refused an address, name or port. Not retried: nothing was sent. */
export class ForbiddenAddressError extends Error {
  readonly code = "ERR_FORBIDDEN_ADDRESS";
  readonly reason: ForbiddenReason;
  constructor(host: string, verdict: Verdict) {
    super(`"${host}" ${verdict.clause}`);
    this.name = "ForbiddenAddressError";
    this.reason = verdict.reason;
  }
}

/**
 * The guard of one process. `allow` (OUTBOUND_ALLOW) is a list of CIDR blocks or single addresses that are called although
 * they are not global unicast.
 * @throws {Error} naming the entry that is neither
 */
export function createOutboundGuard(allow: readonly string[]): OutboundGuard {
  const blocks = allow.map(parseBlock);
  const loopbackAllowed = ["127.0.0.1", "::1"].some((address) => isAllowed(ipaddr.parse(address), blocks));

  function judgeAddress(text: string): Verdict | null {
    const address = parseAddress(text);
    if (address === null) return { reason: "not_an_address", clause: `names "${text}", which is not an address` };
    for (const inner of embeddedAddresses(address)) {
      const reason = reasonAgainst(inner);
      if (reason === null || isAllowed(inner, blocks)) continue;
      return { reason, clause: `names an address that this hub does not call (${text})` };
    }
    return null;
  }

  return {
    judgeUrl: ({ host, port }) => {
      if (port !== 80 && port !== 443 && port < 1024) {
        return { reason: "port", clause: `names port ${port}; this hub calls ports 80, 443 and 1024 to 65535` };
      }
      // A URL's parser leaves a colon in addresses only.
      if (host.includes(":") || parseAddress(host) !== null) return judgeAddress(host);
      // RFC 1035 §2.3.4; a resolver may cut or misread what is longer.
      if (host.length > 254 || host.replace(/\.$/, "").split(".").some(({ length }) => length < 1 || length > 63)) {
        return { reason: "url", clause: "names a host that is not a domain name" };
      }
      if (LOCALHOST.test(host) && !loopbackAllowed) {
        return { reason: "localhost", clause: `names this machine (${host}), which this hub does not call` };
      }
      return null;
    },
    judgeAddress,
  };
}

// RFC 6761 §6.3: these names mean loopback whatever a resolver says; the rest are what hosts files call it.
const LOCALHOST = /^(?:(?:.*\.)?localhost|localhost[46]?(?:\.localdomain[46]?)?|ip6-(?:localhost|loopback))\.?$/i;

function parseAddress(text: string): Address | null {
  // ipaddr.js also takes "127.1" and "0x7f000001"; the platform's URL parser has already made those canonical.
  if (!text.includes(":") && !ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  // A zone makes sense inside one machine only.
  if (text.includes("%")) return null;
  return ipaddr.isValid(text) ? ipaddr.parse(text) : null;
}

function parseBlock(text: string): [Address, number] {
  const [address = "", prefix, ...rest] = text.split("/");
  const parsed = parseAddress(address);
  const width = parsed?.kind() === "ipv6" ? 128 : 32;
  const bits = prefix === undefined ? width : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (parsed === null || rest.length > 0 || !(bits <= width)) {
    throw new Error(`"${text}" is not a CIDR block; write 10.0.0.0/8 or fd00::/8`);
  }
  return [parsed, bits];
}

function isAllowed(address: Address, blocks: readonly [Address, number][]): boolean {
  return blocks.some(([block, bits]) => block.kind() === address.kind() && address.match(block, bits));
}

/** Ranges of ipaddr.js by the name they have here; all others that are not "unicast" are `not_global`. */
const REASONS: Readonly<Record<string, ForbiddenReason>> = {
  loopback: "loopback",
  private: "private",
  uniqueLocal: "private",
  deprecatedSiteLocal: "private",
  linkLocal: "link_local",
  carrierGradeNat: "shared",
  multicast: "multicast",
  unspecified: "unspecified",
};

/**
 * Metadata services of clouds give secrets to their machines. Azure's has an address that looks global; those of AWS, Google,
 * Alibaba and Oracle are link-local, unique local, shared or reserved anyway.
 */
const METADATA = new Set(["168.63.129.16"]);

function reasonAgainst(address: Address): ForbiddenReason | null {
  const range = address.range();
  if (range !== "unicast") return Object.hasOwn(REASONS, range) ? REASONS[range]! : "not_global";
  if (METADATA.has(address.toString())) return "metadata";
  // RFC 4291 §2.4: of IPv6, only 2000::/3 has been given out as global unicast.
  return address.kind() === "ipv4" || (address.toByteArray()[0]! & 0xe0) === 0x20 ? null : "not_global";
}
