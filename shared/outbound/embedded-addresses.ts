// The IPv4 addresses inside an IPv6 address (WIRE §7): a gateway on the way would unwrap them, so they are what is called.

import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** All addresses that a packet to this one may end at: those embedded in it, or itself. Each must be allowed. */
export function embeddedAddresses(address: Address): Address[] {
  if (address.kind() === "ipv4") return [address];
  const bytes = address.toByteArray();
  const startsWith = (...prefix: number[]) => prefix.every((byte, index) => bytes[index] === byte);
  const at = (...places: number[]) => new ipaddr.IPv4(places.map((place) => bytes[place]!));
  const last = at(12, 13, 14, 15);
  // Mapped (::ffff:a.b.c.d) and translated (::ffff:0:a.b.c.d), RFC 4291 §2.5.5.2 and RFC 6145 §2.2.
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)) return [last];
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0)) return [last];
  // Compatible (::a.b.c.d), RFC 4291 §2.5.5.1; :: and ::1 are addresses of their own.
  if (startsWith(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) && !(startsWith(...Array(15).fill(0)) && bytes[15]! <= 1)) {
    return [last];
  }
  // NAT64's well-known prefix, RFC 6052 §2.1.
  if (startsWith(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) return [last];
  // NAT64's local-use prefix, RFC 8215: only the network knows which of RFC 6052's forms it uses, so every possible form counts
  // (no gateway sends to 0.0.0.0/8). The address is not global itself, so it must also be allowed by name.
  if (startsWith(0, 0x64, 0xff, 0x9b, 0, 1)) {
    const forms = [at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)];
    return [address, last, ...forms.filter((form) => form.octets[0] !== 0)];
  }
  // 6to4, RFC 3056 §2.
  if (startsWith(0x20, 0x02)) return [at(2, 3, 4, 5)];
  // Teredo, RFC 4380 §4: the server's address, and the client's with its bits inverted.
  if (startsWith(0x20, 0x01, 0, 0)) return [at(4, 5, 6, 7), new ipaddr.IPv4(last.octets.map((byte) => byte ^ 0xff))];
  // ISATAP, RFC 5214 §6.1: in the interface's half, under any prefix.
  if ((bytes[8]! & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe) return [address, last];
  return [address];
}
