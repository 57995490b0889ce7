// The connections of a server, in fair shares of who opens them (ARCHITECTURE §4 "Fair shares"). Handshakes count too. Where there is no
// place, who has most gives one to who has fewer: an idle connection, or the oldest one whose request is not whole. So many addresses that
// hold their connections keep nobody out. Who has most itself gives its own idle one.

import type { Server, Socket } from "node:net";
import type { ConnectionClaim, ServeOptions } from "../serve.ts";
import type { Place } from "../shares/accounts.ts";
import { FairShares } from "../shares/fair-shares.ts";
import { pipelineOf } from "./pipeline.ts";

/** What one requester has open. */
interface Party {
  readonly sockets: Set<Socket>;
  /** Monotonic ms: none of these was idle a moment ago, so nobody looks for an idle one again until then. */
  noneIdleUntil: number;
  /** Likewise: none of these could be closed. */
  busyUntil: number;
}

interface Connection {
  readonly peer: string;
  /** Gives its place back. Idempotent. */
  readonly release: () => void;
}

/** A connection that may be closed for another. */
interface Closable {
  readonly socket: Socket;
  /** That of its requests. */
  readonly carrier: Socket;
  readonly connection: Connection;
  readonly state: "idle" | "unfinished";
}

/** So many of those who have most are looked at for one connection. */
const MOST_LOOKS = 4;
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
    const party = this.#parties.get(requester) ?? { sockets: new Set(), noneIdleUntil: 0, busyUntil: 0 };
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
    const shares = this.#shares;
    if (shares === undefined) return undefined;
    const claim = { requester, host, standing: "new" } as const;
    const place = shares.tryEnter(claim);
    if (place !== undefined) return place;
    const own = this.#parties.get(requester);
    // Its own idle one last: the next request may be on its way there.
    const given = this.#oneOfMost((own?.sockets.size ?? 0) + 1) ?? this.#idleOneOf(own);
    if (given === undefined) return undefined;
    this.#close(given);
    // Whoever has few may have it, however few are free.
    return shares.enterAnyway(claim);
  }

  #idleOneOf(party: Party | undefined): Closable | undefined {
    const now = performance.now();
    if (party === undefined || now < party.noneIdleUntil) return undefined;
    const idle = this.#oneOf(party, ["idle"]);
    if (idle === undefined) party.noneIdleUntil = now + LOOK_EVERY_MS;
    return idle;
  }

  /** A connection of who has most that can be closed, if that is more than `least`. */
  #oneOfMost(least: number): Closable | undefined {
    const now = performance.now();
    if (now < this.#fullUntil) return undefined;
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      let most: Party | undefined;
      for (const party of this.#parties.values()) {
        if (now >= party.busyUntil && party.sockets.size > (most?.sockets.size ?? least)) most = party;
      }
      if (most === undefined) break;
      const found = this.#oneOf(most, ["idle", "unfinished"]);
      if (found !== undefined) return found;
      most.busyUntil = now + LOOK_EVERY_MS;
    }
    // Who has none yet has looked for all.
    if (least === 1) this.#fullUntil = now + LOOK_EVERY_MS;
    return undefined;
  }

  /** The oldest connection of a party in the first of these states that one of them is in. */
  #oneOf(party: Party, states: readonly Closable["state"][]): Closable | undefined {
    for (const state of states) {
      for (const socket of party.sockets) {
        const connection = this.#open.get(socket);
        if (connection === undefined || socket.destroyed) continue;
        const carrier = this.#secure.get(connection.peer) ?? socket;
        if (pipelineOf(carrier).state === state) return { socket, carrier, connection, state };
      }
    }
    return undefined;
  }

  #close({ socket, carrier, connection, state }: Closable): void {
    this.#options.onRefused?.(state === "idle" ? "idle" : "connections");
    carrier.destroy();
    socket.destroy();
    connection.release();
  }
}

/** Tells the open connections of a server apart. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
