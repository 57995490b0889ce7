// Connects to the first of several addresses that answers (RFC 8305 §5): attempts begin 250 ms apart, families in turn, IPv6 first,
// and none is given up because the next begins.

import type { Socket } from "node:net";
import type { Target } from "../outbound/origin-pools.ts";
import type { buildConnector } from "../undici.ts";
import { AttemptsError, firstToSucceed } from "../stagger.ts";
import { timeLimit } from "../time-limit.ts";

export interface Dialled {
  readonly socket: Socket;
  readonly address: string;
}

const NEXT_ADDRESS_MS = 250;
/** Addresses that are tried: a name must not make the hub knock at any number of doors. */
const MOST_ADDRESSES = 10;

/** `timeoutMs`: from the first attempt to the end of the TLS handshake with the one that won. @throws {Error} with its `code` */
export async function dial(
  connect: buildConnector.connector,
  target: Target,
  addresses: readonly string[],
  timeoutMs: number,
): Promise<Dialled> {
  const limit = timeLimit(timeoutMs);
  try {
    const attempts = inTurn(addresses).slice(0, MOST_ADDRESSES);
    const first = await firstToSucceed(
      attempts.map((address) => (ended: AbortSignal) => reach(connect, target, address, ended)),
      NEXT_ADDRESS_MS,
      limit.signal,
    );
    return await secured(first, limit.signal);
  } catch (error) {
    if (limit.signal.aborted) throw timedOut(target, timeoutMs);
    const errors = error instanceof AttemptsError ? error.errors : [error as Error];
    throw errors.length === 1 ? errors[0]! : Object.assign(error as Error, { code: codeOf(errors) });
  } finally {
    limit.end();
  }
}

/** An address that answered; `ready` settles after the TLS handshake. */
interface Reached extends Dialled {
  readonly ready: Promise<void>;
}

function reach(
  connect: buildConnector.connector,
  target: Target,
  address: string,
  ended: AbortSignal,
): Promise<Reached> {
  return new Promise((resolve, reject) => {
    const { promise: ready, resolve: beReady, reject: fail } = Promise.withResolvers<void>();
    // Looked at only if this address wins.
    ready.catch(() => {});
    // undici's connectors give back the socket that they open, though their type does not say so. TLS is by the name: its Host.
    const socket = connect({ ...target, hostname: address }, (...[error]) => {
      if (error === null) return beReady();
      fail(error);
      reject(error);
    }) as unknown as Socket;
    const onEnded = () => socket.destroy();
    ended.addEventListener("abort", onEnded);
    socket.once("close", () => {
      ended.removeEventListener("abort", onEnded);
      const error = Object.assign(new Error(`${address} closed the connection`), { code: "ECONNRESET" });
      fail(error);
      reject(error);
    });
    socket.once("connect", () => resolve({ socket, address, ready }));
  });
}

async function secured({ socket, address, ready }: Reached, over: AbortSignal): Promise<Dialled> {
  const onOver = () => socket.destroy();
  over.addEventListener("abort", onOver);
  if (over.aborted) onOver();
  try {
    await ready;
    return { socket, address };
  } finally {
    over.removeEventListener("abort", onOver);
  }
}

/** IPv6 and IPv4 in turn, each in its order. */
function inTurn(addresses: readonly string[]): string[] {
  const [six, four] = [addresses.filter((one) => one.includes(":")), addresses.filter((one) => !one.includes(":"))];
  return Array.from({ length: Math.max(six.length, four.length) }, (_, n) => [six[n], four[n]])
    .flat()
    .filter((address) => address !== undefined);
}

function timedOut({ hostname }: Target, timeoutMs: number): Error {
  const error = new Error(`connecting to ${hostname} took longer than ${timeoutMs} ms`);
  return Object.assign(error, { code: "UND_ERR_CONNECT_TIMEOUT" });
}

/** The code that all have, else that of the last one. */
function codeOf(errors: readonly Error[]): string | undefined {
  return (errors.at(-1) as NodeJS.ErrnoException | undefined)?.code;
}
