// Connects under the guard (WIRE §7): the address that was checked is the address that is dialled, because the check is in the
// lookup of that very dial. For undici; deliveries and the outbound client share it.

import { constants } from "node:crypto";
import { lookup as systemLookup } from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import type { Socket } from "node:net";
import { ForbiddenAddressError } from "../outbound/guard.ts";
import type { OutboundGuard } from "../outbound/guard.ts";
import { CHECKED } from "../checked-tls.ts";
import { readAnswerHeads } from "./answer-heads.ts";
import { buildConnector } from "../undici.ts";

/** Resolves a name to all its addresses: `dns.lookup` with `all: true`, or a test's own. */
export type ResolveAll = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

type GuardedLookup = (
  hostname: string,
  options: LookupOptions,
  callback: (
    error: NodeJS.ErrnoException | null,
    address: string | LookupAddress[],
    family?: number,
  ) => void,
) => void;

/** A `lookup` for net.connect and tls.connect that fails with ForbiddenAddressError if any resolved address is forbidden. */
function createGuardedLookup(guard: OutboundGuard, resolve: ResolveAll = systemLookup): GuardedLookup {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      // Every resolved address must pass: one forbidden among several is a rebinding attempt or a mistake, never a choice.
      for (const { address } of addresses) {
        const verdict = guard.judgeAddress(address);
        if (verdict !== null) return callback(new ForbiddenAddressError(hostname, verdict), []);
      }
      const first = addresses[0];
      if (first === undefined) {
        return callback(Object.assign(new Error(`"${hostname}" has no address`), { code: "ENOTFOUND" }), []);
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

export interface GuardedConnectOptions {
  readonly guard: OutboundGuard;
  /** From the dial to the end of the TLS handshake, ms. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /**
   * How many bytes a connection may bring in answer to one request. A status line or a chunk extension without an end is
   * neither header nor body, so no other limit counts it. Default 512 KiB.
   */
  readonly maxAnswerBytes?: number;
  readonly resolve?: ResolveAll;
  /** Trusted authorities (PEM) instead of the system's, for tests. Certificates are always checked (H68). */
  readonly ca?: string;
}

/** An undici connector (`new Pool(origin, { connect })`) that dials nothing the guard forbids. */
export function createGuardedConnector(options: GuardedConnectOptions): buildConnector.connector {
  const maxAnswerBytes = options.maxAnswerBytes ?? 512 * 1024;
  const connect = buildConnector({
    timeout: options.connectTimeoutMs ?? 10_000,
    lookup: createGuardedLookup(options.guard, options.resolve),
    ...CHECKED,
    // A server could ask for new handshakes until the deadline, which costs CPU. TLS 1.3 has no renegotiation, and neither Deno nor
    // Bun takes part in one.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  return (target, callback) => {
    // A literal address is never looked up, so it is judged here; so are ports.
    const port = target.port === "" ? (target.protocol === "https:" ? 443 : 80) : Number(target.port);
    const verdict = options.guard.judgeUrl({ host: target.hostname, port });
    if (verdict !== null) {
      // Not within the caller's own turn: undici expects a connector to answer later.
      queueMicrotask(() => callback(new ForbiddenAddressError(target.hostname, verdict), null));
      return;
    }
    connect(target, (...outcome) => {
      const [, socket] = outcome;
      // After a failed dial undici passes undefined here, not null.
      if (socket) {
        limitAnswers(socket, maxAnswerBytes);
        readAnswerHeads(socket);
      }
      callback(...outcome);
    });
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
