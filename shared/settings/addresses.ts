// Addresses and networks as settings may write them: in the one way that every reader understands alike. `010.0.0.0` is 8.0.0.0 to some
// and 10.0.0.0 to others, and `10/8` is 0.0.0.10/8 to some and 10.0.0.0/8 to others.
import ipaddr from "ipaddr.js";

/** Digits and dots, or hexadecimal parts: what some readers take for an IPv4 address, in whatever way. */
const NUMERIC = /^(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?$/i;

/** Whether a host is a name, an IPv6 address, or an IPv4 address of four decimal parts without zeros in front. */
export function isPlainHost(host: string): boolean {
  return !NUMERIC.test(host) || ipaddr.IPv4.isValidFourPartDecimal(host);
}

/** What a network is in the one way to write it; undefined if no such network can be meant. */
export function canonicalNetwork(written: string): string | undefined {
  const [address = "", bits, ...more] = written.split("/");
  if (more.length > 0 || (bits !== undefined && !/^[0-9]{1,3}$/.test(bits))) return undefined;
  return address.includes(":") ? canonicalIpv6(address, bits) : canonicalIpv4(address, bits);
}

function canonicalIpv4(address: string, bits = "32"): string | undefined {
  const parts = address.split(".");
  if (parts.length > 4 || !parts.every((part) => /^[0-9]{1,9}$/.test(part) && Number(part) < 256)) return undefined;
  if (Number(bits) > 32) return undefined;
  const four = [...parts, "0", "0", "0"].slice(0, 4).map(Number).join(".");
  return `${ipaddr.IPv4.networkAddressFromCIDR(`${four}/${Number(bits)}`).toString()}/${Number(bits)}`;
}

function canonicalIpv6(address: string, bits = "128"): string | undefined {
  if (address.includes("%") || !ipaddr.IPv6.isValid(address) || Number(bits) > 128) return undefined;
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address}/${Number(bits)}`) as ipaddr.IPv6;
  // Every IPv4 address inside IPv6 is compared as what it is.
  if (network.isIPv4MappedAddress() && Number(bits) >= 96) {
    return `${network.toIPv4Address().toString()}/${Number(bits) - 96}`;
  }
  return `${network.toRFC5952String()}/${Number(bits)}`;
}
