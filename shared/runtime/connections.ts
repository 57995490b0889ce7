// The connections of a server, in fair shares of who opens them (ARCHITECTURE §4 "Fair shares"). Handshakes count too. Where there is no
// place, a connection is closed that waits for no answer: one of the same requester, or of whoever has most.

import type { Server, Socket } from "node:net";
import type { ConnectionClaim, ServeOptions } from "../serve.ts";
import type { Place } from "../shares/accounts.ts";
import { FairShares } from "../shares/fair-shares.ts";
import { pipelineOf } from "./pipeline.ts";

/** What one requester has open. */
interface Party {
  readonly sockets: Set<Socket>;
  /** Monotonic ms: none of these was idle a moment ago, so nobody looks again until then. */
  busyUntil: number;
}

interface Connection {
  readonly peer: string;
  /** Gives its place back. Idempotent. */
  readonly release: () => void;
}

/** After a look that found nothing, ms: a flood must not make the server look for each of its connections. */
const LOOK_EVERY_MS = 100;

export class Connections {
  readonly #options: Pick<ServeOptions, "connectionClaim" | "onRefused">;
  /** Undefined: any number. */
  readonly #shares: FairShares<never> | undefined;
  readonly #parties = new Map<string, Party>();
  readonly #open = new Map<Socket, Connection>();
  /** The socket that carries the requests of a connection, where TLS has one of its own; by `peerOf`. */
  readonly #secure = new Map<string, Socket>();
  #fullUntil = 0;
  #made = 0;

  constructor(server: Server, { maxConnections: most, ...options }: ServeOptions) {
    this.#options = options;
    if (most !== undefined) {
      this.#shares = new FairShares({ most, of: { proven: 0, slow: 0, new: most, failing: 0 } });
    }
    server.on("connection", (socket: Socket) => this.#accept(socket));
    server.on("secureConnection", (socket: Socket) => this.#secure.set(peerOf(socket), socket));
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #accept(socket: Socket): void {
    // A connection without a claim shares with nobody.
    const claim = this.#options.connectionClaim?.(socket.remoteAddress) ??
      { requester: `own ${++this.#made}`, host: "" };
    const place = this.#placeFor(claim);
    if (place === undefined && this.#shares !== undefined) {
      this.#options.onRefused?.("connections");
      socket.destroy();
      return;
    }
    const { requester } = claim;
    const peer = peerOf(socket);
    const party = this.#parties.get(requester) ?? { sockets: new Set(), busyUntil: 0 };
    this.#parties.set(requester, party);
    party.sockets.add(socket);
    const release = () => {
      this.#secure.delete(peer);
      party.sockets.delete(socket);
      if (party.sockets.size === 0 && this.#parties.get(requester) === party) this.#parties.delete(requester);
      if (place !== undefined) this.#shares?.leave(place);
    };
    this.#open.set(socket, { peer, release });
    socket.once("close", () => {
      this.#open.delete(socket);
      release();
    });
  }

  #placeFor({ requester, host }: ConnectionClaim): Place | undefined {
    const claim = { requester, host, standing: "new" } as const;
    const place = this.#shares?.tryEnter(claim);
    if (place !== undefined || this.#shares === undefined) return place;
    const own = this.#parties.get(requester);
    const isClosed = own === undefined ? this.#closeOfMost() : this.#closeIdle(own);
    return isClosed ? this.#shares.tryEnter(claim) : undefined;
  }

  /** Closes an idle connection of who has most, if that is more than one. */
  #closeOfMost(): boolean {
    const now = performance.now();
    if (now < this.#fullUntil) return false;
    let most: Party | undefined;
    for (const party of this.#parties.values()) {
      if (now >= party.busyUntil && party.sockets.size > (most?.sockets.size ?? 1)) most = party;
    }
    if (most !== undefined && this.#closeIdle(most)) return true;
    this.#fullUntil = now + LOOK_EVERY_MS;
    return false;
  }

  #closeIdle(party: Party): boolean {
    if (performance.now() < party.busyUntil) return false;
    for (const socket of party.sockets) {
      const connection = this.#open.get(socket);
      const carrier = this.#secure.get(connection?.peer ?? "") ?? socket;
      if (socket.destroyed || !pipelineOf(carrier).isIdle) continue;
      this.#options.onRefused?.("idle");
      carrier.destroy();
      socket.destroy();
      connection?.release();
      return true;
    }
    party.busyUntil = performance.now() + LOOK_EVERY_MS;
    return false;
  }
}

/** Tells the open connections of a server apart. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
