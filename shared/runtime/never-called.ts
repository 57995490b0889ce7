// Where a tier on Deno must not call, as Deno's permissions say it. The guard refuses all of it, too.

/** Machines of a cloud find their passwords at addresses that begin like this. */
const NETWORK = [169, 254] as const;

/**
 * Name servers of clouds and clusters are there, too: Google's and OpenStack's (which is the very machine with the passwords), Amazon's,
 * and the caches that Kubernetes has on its nodes. They may be asked, but not by HTTP.
 */
const NAME_SERVERS: readonly string[] = ["169.254.169.254", "169.254.169.253", "169.254.20.10", "169.254.25.10"];

/** The networks, and addresses with a port, for `--deny-net`. */
export function neverCalled(): string[] {
  return [...networksWithout(0, 16), ...NAME_SERVERS.flatMap((address) => [`${address}:80`, `${address}:443`])];
}

/** The networks that make up one of these, but for the name servers. `low`: the last 16 bits of its first address. */
function networksWithout(low: number, bits: number): string[] {
  const size = 2 ** (32 - bits);
  if (!NAME_SERVERS.some((address) => lowOf(address) >= low && lowOf(address) < low + size)) {
    return [`${[...NETWORK, low >> 8, low & 0xff].join(".")}/${bits}`];
  }
  return bits === 32 ? [] : [...networksWithout(low, bits + 1), ...networksWithout(low + size / 2, bits + 1)];
}

function lowOf(address: string): number {
  const [, , third, fourth] = address.split(".").map(Number);
  return third! << 8 | fourth!;
}
