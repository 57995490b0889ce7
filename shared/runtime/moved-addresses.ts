// Follows names whose addresses change while connections to them are kept busy: a connection says so once its name no longer has
// the address that it goes to.

import type { Socket } from "node:net";
import { NameError } from "./names/resolver.ts";
import type { Names } from "./names/names.ts";

/** With what a look-up may be old (names.ts) less than a minute. */
const LOOK_MS = 20_000;
/** Requesters on whose behalf a name is looked up, one after another, until somebody can say. */
const MOST_ASKING = 4;

interface Connection {
  readonly address: string;
  /** Who had it opened. */
  readonly requester: string | undefined;
  readonly onMoved: () => void;
}

/** The open connections by their names; each name is looked up every 20 s while it has one. */
export class MovedAddresses {
  readonly #names: Names;
  readonly #lookMs: number;
  readonly #followed = new Map<string, Map<Socket, Connection>>();

  constructor(names: Names, lookMs = LOOK_MS) {
    this.#names = names;
    this.#lookMs = lookMs;
  }

  /** Calls `onMoved` at most once, when `name` no longer has the connection's address; never after the socket has closed. */
  follow(name: string, socket: Socket, connection: Connection): void {
    let connections = this.#followed.get(name);
    if (connections === undefined) {
      this.#followed.set(name, connections = new Map());
      this.#lookLater(name, connections);
    }
    connections.set(socket, connection);
    socket.once("close", () => connections.delete(socket));
  }

  #lookLater(name: string, connections: Map<Socket, Connection>): void {
    setTimeout(() => void this.#look(name, connections), this.#lookMs).unref();
  }

  async #look(name: string, connections: Map<Socket, Connection>): Promise<void> {
    if (connections.size === 0) {
      this.#followed.delete(name);
      return;
    }
    const requesters = new Set([...connections.values()].map(({ requester }) => requester));
    const isStill = await this.#ask(name, [...requesters].slice(0, MOST_ASKING));
    for (const [socket, { address, onMoved }] of connections) {
      if (isStill(address)) continue;
      connections.delete(socket);
      onMoved();
    }
    this.#lookLater(name, connections);
  }

  /**
   * Whether an address is still one of the name's, as far as anybody can say. A look-up counts as its connection's requester's: else who
   * has connections to a thousand names would have a share for each of them.
   */
  async #ask(name: string, requesters: readonly (string | undefined)[]): Promise<(address: string) => boolean> {
    for (const requester of requesters) {
      try {
        const { addresses, unknown } = await this.#names.lookUp(name, requester);
        return (address) => addresses.includes(address) || (address.includes(":") ? 6 : 4) === unknown;
      } catch (error) {
        if (error instanceof NameError && error.code === "ENOTFOUND") return () => false;
        // Nobody can say, or this requester has its share of look-ups: another one may have a place.
      }
    }
    return () => true;
  }
}
