// Which addresses, names and ports the hub may call on a stranger's word (WIRE §7). Pure: names are resolved elsewhere
// (shared/runtime/guarded-connect.ts), and every address they resolve to is judged here.

import ipaddr from "ipaddr.js";
import type { HttpUrl } from "./http-url.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

export interface OutboundGuard {
  /**
   * What can be said before a name is resolved: ports, literal addresses, localhost names. null if nothing speaks against
   * it, else a clause to follow the parameter's name.
   */
  judgeUrl(url: Pick<HttpUrl, "host" | "port">): string | null;
  /** The same for one resolved address. What is no address is refused. */
  judgeAddress(address: string): string | null;
}

/** The guard refused an address, name or port. Not retried: nothing was sent. */
export class ForbiddenAddressError extends Error {
  readonly code = "ERR_FORBIDDEN_ADDRESS";
  constructor(message: string) {
    super(message);
    this.name = "ForbiddenAddressError";
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

  function judgeAddress(text: string): string | null {
    const address = parseAddress(text);
    if (address === null) return `names "${text}", which is no address`;
    const forbidden = unwrap(address).find((inner) => !isGlobalUnicast(inner) && !isAllowed(inner, blocks));
    return forbidden === undefined ? null : `names an address that this hub does not call (${text})`;
  }

  return {
    judgeUrl: ({ host, port }) => {
      if (port !== 80 && port !== 443 && port < 1024) {
        return `names port ${port}; this hub calls ports 80, 443 and 1024 to 65535`;
      }
      if (parseAddress(host) !== null) return judgeAddress(host);
      // RFC 6761 §6.3: these names mean loopback whatever a resolver says.
      if (/^(?:.*\.)?localhost\.?$/i.test(host) && !loopbackAllowed) {
        return `names this machine (${host}), which this hub does not call`;
      }
      return null;
    },
    judgeAddress,
  };
}

function parseAddress(text: string): Address | null {
  // ipaddr.js also takes "127.1" and "0x7f000001"; the platform's URL parser has already made those canonical.
  if (!text.includes(":") && !ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  return ipaddr.isValid(text) ? ipaddr.parse(text) : null;
}

function parseBlock(text: string): [Address, number] {
  const [address = "", prefix, ...rest] = text.split("/");
  const parsed = parseAddress(address);
  const width = parsed?.kind() === "ipv6" ? 128 : 32;
  const bits = prefix === undefined ? width : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (parsed === null || rest.length > 0 || !(bits <= width)) {
    throw new Error(`"${text}" is no CIDR block; write 10.0.0.0/8 or fd00::/8`);
  }
  return [parsed, bits];
}

function isAllowed(address: Address, blocks: readonly [Address, number][]): boolean {
  return blocks.some(([block, bits]) => block.kind() === address.kind() && address.match(block, bits));
}

function isGlobalUnicast(address: Address): boolean {
  if (address.range() !== "unicast") return false;
  // RFC 4291 §2.4: of IPv6, only 2000::/3 has been given out as global unicast.
  return address.kind() === "ipv4" || (address.toByteArray()[0]! & 0xe0) === 0x20;
}

/** The IPv4 addresses inside an IPv6 address, or the address itself: a gateway on the way would unwrap them too. */
function unwrap(address: Address): Address[] {
  if (address.kind() === "ipv4") return [address];
  const bytes = address.toByteArray();
  const startsWith = (...prefix: number[]) => prefix.every((byte, index) => bytes[index] === byte);
  const embedded = (at: number) => new ipaddr.IPv4(bytes.slice(at, at + 4));
  // Mapped (::ffff:a.b.c.d) and translated (::ffff:0:a.b.c.d), RFC 4291 §2.5.5.2 and RFC 6145 §2.2.
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)) return [embedded(12)];
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0)) return [embedded(12)];
  // Compatible (::a.b.c.d), RFC 4291 §2.5.5.1; :: and ::1 are addresses of their own.
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) && !(startsWith(...Array(15).fill(0)) && bytes[15]! <= 1)) {
    return [embedded(12)];
  }
  // NAT64's well-known prefix, RFC 6052 §2.1.
  if (startsWith(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) return [embedded(12)];
  // 6to4, RFC 3056 §2.
  if (startsWith(0x20, 0x02)) return [embedded(2)];
  // Teredo, RFC 4380 §4: the server's address, and the client's with its bits inverted.
  if (startsWith(0x20, 0x01, 0, 0)) return [embedded(4), new ipaddr.IPv4(bytes.slice(12).map((byte) => byte ^ 0xff))];
  return [address];
}
