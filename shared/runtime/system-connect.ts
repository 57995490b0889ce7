// Connects to hosts that the operator named. The system itself looks their names up, on threads that nobody else's names use; of
// several addresses the first that answers is taken, as for all others (shared/runtime/dial.ts).

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { CHECKED } from "../checked-tls.ts";
import type { ClientTls } from "../http-client.ts";
import { waitAtMost } from "../pause.ts";
import { buildConnector } from "../undici.ts";
import { dial } from "./dial.ts";

export interface SystemConnectOptions {
  /** For the look-up, and then again from the first dial to the end of the TLS handshake, ms. */
  readonly timeoutMs: number;
  readonly tls: ClientTls;
  /** All addresses of a name; default the system's look-up. */
  readonly lookUp?: (name: string) => Promise<readonly string[]>;
}

/** A connector for undici; certificates are always checked (H68). */
export function createSystemConnector(
  { timeoutMs, tls, lookUp = systemLookUp }: SystemConnectOptions,
): buildConnector.connector {
  // `dial` has the clock.
  const connect = buildConnector({ ...CHECKED, ...defined(tls), timeout: 0 });

  async function addressesOf(name: string): Promise<readonly string[]> {
    if (isIP(name) !== 0) return [name];
    let addresses: readonly string[] | undefined;
    await waitAtMost(timeoutMs, lookUp(name).then((found) => addresses = found));
    if (addresses === undefined) throw new Error(`"${name}" was not looked up within ${timeoutMs} ms`);
    return addresses;
  }

  return (target, callback) => {
    addressesOf(target.hostname)
      .then((addresses) => dial(connect, target, addresses, timeoutMs))
      .then(({ socket }) => callback(null, socket), (error: Error) => callback(error, null));
  };
}

async function systemLookUp(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

/** Leaves out what is undefined: Node's TLS would take `ca: undefined` for no authority at all. */
function defined({ ca, cert, key }: ClientTls) {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
}
