// The address of the client that sent a request: the last hop of X-Forwarded-For that is not one of our own proxies
// (TRUSTED_PROXIES), or what the platform in front says in a header of its own (ADDRESS_HEADER). Earlier entries of X-Forwarded-For
// are that hop's claims and are not used.

import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Networks = readonly (readonly [Address, number])[];

/** @throws {Error} on text that is not a CIDR block, which the settings refuse */
export function parseNetworks(cidrs: readonly string[]): Networks {
  return cidrs.map((cidr) => ipaddr.parseCIDR(cidr));
}

/**
 * The client's address as a limit's key: an IPv4 address, or the /64 of an IPv6 one, which is the least that one customer gets.
 * `peer` is the socket's address; the result is undefined without one.
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | null,
  trusted: Networks,
): string | undefined {
  if (forwardedFor === null || trusted.length === 0) return keyOfPeer(peer ?? "");
  let client = parse(peer ?? "");
  if (client === undefined) return undefined;
  const hops = forwardedFor.split(",");
  while (hops.length > 0 && isIn(client, trusted)) {
    const hop = parse(withoutPort(hops.pop()!.trim()));
    // A proxy that does not know its client ("unknown", "_hidden") stands for it.
    if (hop === undefined) break;
    client = hop;
  }
  return keyOf(client);
}

/**
 * The key of an address that a header of the platform names; undefined if it names none. Where sockets tell their peer, only a proxy
 * of ours is believed.
 */
export function namedAddress(peer: string | undefined, named: string | null, trusted: Networks): string | undefined {
  const at = parse(peer ?? "");
  if (at !== undefined && !isIn(at, trusted)) return keyOf(at);
  const client = parse(withoutPort(named?.trim() ?? "")) ?? at;
  return client === undefined ? undefined : keyOf(client);
}

/**
 * The wider network of a client's address: the /48 of a /64, which is what one owner often has of IPv6. Undefined for an IPv4 address.
 */
export function networkOf(key: string): string | undefined {
  if (!key.endsWith("/64")) return undefined;
  const bytes = ipaddr.IPv6.parse(key.slice(0, -"/64".length)).toByteArray();
  return `${new ipaddr.IPv6([...bytes.slice(0, 6), ...Array<number>(10).fill(0)]).toString()}/48`;
}

/** Whether a peer is one of our own proxies. */
export function isTrusted(peer: string | undefined, trusted: Networks): boolean {
  const address = parse(peer ?? "");
  return address !== undefined && isIn(address, trusted);
}

function parse(text: string): Address | undefined {
  const zone = text.indexOf("%");
  const bare = zone === -1 ? text : text.slice(0, zone);
  if (!bare.includes(":") && !ipaddr.IPv4.isValidFourPartDecimal(bare)) return undefined;
  // A mapped address counts as its IPv4 address: a dual-stack socket reports the first form, a proxy the second.
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined;
}

/** The keys of the peers that were seen last: a connection sends many requests. */
const keys = new Map<string, string | undefined>();
const MOST_KEYS = 4_096;

function keyOfPeer(peer: string): string | undefined {
  if (keys.has(peer)) return keys.get(peer);
  const address = parse(peer);
  const key = address === undefined ? undefined : keyOf(address);
  if (keys.size >= MOST_KEYS) keys.clear();
  keys.set(peer, key);
  return key;
}

/** Some proxies write host:port, or [host]:port. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

function isIn(address: Address, networks: Networks): boolean {
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

function keyOf(address: Address): string {
  if (address.kind() === "ipv4") return address.toString();
  return `${new ipaddr.IPv6([...address.toByteArray().slice(0, 8), ...Array<number>(8).fill(0)]).toString()}/64`;
}
