// Connects under the guard (WIRE §7): the addresses that were checked are the addresses that are dialled, because both come from the
// one look-up of that very dial. For undici; deliveries and the outbound client share it.

import { constants } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { CHECKED } from "../checked-tls.ts";
import { ForbiddenAddressError } from "../outbound/guard.ts";
import type { OutboundGuard } from "../outbound/guard.ts";
import type { Connecting, GuardedConnector, Target } from "../outbound/origin-pools.ts";
import { buildConnector } from "../undici.ts";
import { readAnswerHeads } from "./answer-heads.ts";
import { dial } from "./dial.ts";
import { MovedAddresses } from "./moved-addresses.ts";
import { createNames, type Names } from "./names/names.ts";
import { NameError } from "./names/resolver.ts";

export interface GuardedConnectOptions {
  readonly guard: OutboundGuard;
  /** From the first dial to the end of the TLS handshake, ms. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /**
   * How many bytes a connection may bring in answer to one request. A status line or a chunk extension without an end is
   * neither header nor body, so no other limit counts it. Default 512 KiB.
   */
  readonly maxAnswerBytes?: number;
  /** What looks names up. Default: names of its own, as the system's files say. */
  readonly names?: Names;
  /** How often the addresses of names with open connections are looked up, ms. Default 20 s. */
  readonly followMs?: number;
  /** Trusted authorities (PEM) instead of the system's, for tests. Certificates are always checked (H68). */
  readonly ca?: string;
}

/** A connector for undici (shared/outbound/origin-pools.ts) that dials nothing the guard forbids. */
export function createGuardedConnector(options: GuardedConnectOptions): GuardedConnector {
  const { guard, names = createNames(), connectTimeoutMs = 10_000, maxAnswerBytes = 512 * 1024 } = options;
  const moved = new MovedAddresses(names, options.followMs);
  const connect = buildConnector({
    // `dial` has the only clock.
    timeout: 0,
    ...CHECKED,
    // A server could ask for new handshakes until the deadline, which costs CPU. TLS 1.3 has no renegotiation, and neither Deno nor
    // Bun takes part in one.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });

  /** The addresses that may be dialled: all that the host has. */
  async function addressesOf(target: Target, requester: string | undefined): Promise<readonly string[]> {
    const { hostname } = target;
    const port = target.port === "" ? (target.protocol === "https:" ? 443 : 80) : Number(target.port);
    // A literal address is never looked up, so it is judged here; so are ports.
    const verdict = guard.judgeUrl({ host: hostname, port });
    if (verdict !== null) throw new ForbiddenAddressError(hostname, verdict);
    if (isIP(hostname) !== 0) return [hostname];
    const { addresses } = await names.lookUp(hostname, requester);
    if (addresses.length === 0) throw new NameError(hostname, "ENOTFOUND", "has no address");
    // Every address must pass: one forbidden among several is a rebinding attempt or a mistake, never a choice.
    for (const address of addresses) {
      const against = guard.judgeAddress(address);
      if (against !== null) throw new ForbiddenAddressError(hostname, against);
    }
    return addresses;
  }

  async function open(target: Target, { requester, onMoved }: Connecting): Promise<Socket> {
    const addresses = await addressesOf(target, requester);
    const { socket, address } = await dial(connect, target, addresses, connectTimeoutMs);
    limitAnswers(socket, maxAnswerBytes);
    readAnswerHeads(socket);
    if (onMoved !== undefined && isIP(target.hostname) === 0) {
      moved.follow(target.hostname, socket, { address, requester, onMoved });
    }
    return socket;
  }

  return (target, callback, by = {}) => {
    open(target, by).then((socket) => callback(null, socket), (error: Error) => callback(error, null));
  };
}

/**
 * Cuts a connection on which more than `most` bytes have come since the last of ours went out. Bytes are counted where undici
 * reads them: a runtime may bring 2 MiB in one chunk, of which undici sees no more than is left. So undici's own limits say first
 * what was wrong, alike on every runtime.
 */
function limitAnswers(socket: Socket, most: number): void {
  let left = most;
  let over = false;
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  const write = socket.write.bind(socket) as (...parameters: unknown[]) => boolean;
  socket.read = (size?: number): Buffer | null => {
    const chunk = over ? null : read(size);
    if (over || (chunk !== null && left === 0)) {
      socket.destroy(new Error(`more than ${most} bytes in answer to one request`));
      return null;
    }
    if (chunk === null) return null;
    // undici reads until nothing is left, so the read that cuts the connection follows at once.
    over = chunk.length > left;
    const part = over ? chunk.subarray(0, left) : chunk;
    left -= part.length;
    return part;
  };
  socket.write = (...parameters: unknown[]): boolean => {
    left = most;
    return write(...parameters);
  };
}
