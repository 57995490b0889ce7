// The host by which shares are counted: what one owner registers (the registrable domain, by the Public Suffix List), since who has one
// domain has any number of names under it. Ports do not count.

import { getDomain } from "tldts";
import { parseHttpUrl, UrlError } from "../http-url.ts";

/** Names longer than these are no names (RFC 1035 §2.3.4), and are not looked at. */
const LONGEST_NAME = 255;

/**
 * The registrable domain of a host name. A name with no such domain (a single label, an unknown ending) counts by itself, and so does an IPv4
 * address. An IPv6 address counts by its /64, the least that one customer gets. `host` as `parseHttpUrl` yields it: lower case, without brackets.
 */
export function hostOf(host: string): string {
  if (host.includes(":")) return `${prefixOf(host)}/64`;
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  if (name.length > LONGEST_NAME) return name;
  // Private suffixes count too: two names under one of them (a cloud's, a forge's) belong to two customers.
  return getDomain(name, { allowPrivateDomains: true, validateHostname: false }) ?? name;
}

/** The host of a URL as shares count it; "" if it is no URL that can be called. */
export function hostOfUrl(url: string): string {
  try {
    return hostOf(parseHttpUrl(url).host);
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    return "";
  }
}

/** The first four groups of an IPv6 address. */
function prefixOf(address: string): string {
  const [head = "", tail] = address.split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(Math.max(0, gap)).fill("0"), ...after].slice(0, 4).join(":");
}
