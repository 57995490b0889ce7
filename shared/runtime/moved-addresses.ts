// Follows names whose addresses change while connections to them are kept busy: a connection says so once its name no longer has
// the address that it goes to.

import type { Socket } from "node:net";
import { NameError } from "./names/resolver.ts";
import type { Names } from "./names/names.ts";

/** With what a look-up may be old (names.ts) less than a minute. */
const LOOK_MS = 20_000;

interface Connection {
  readonly address: string;
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

  /** Calls `onMoved` at most once, when `name` no longer has `address`; never after the socket has closed. */
  follow(name: string, address: string, socket: Socket, onMoved: () => void): void {
    let connections = this.#followed.get(name);
    if (connections === undefined) {
      this.#followed.set(name, connections = new Map());
      this.#lookLater(name, connections);
    }
    connections.set(socket, { address, onMoved });
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
    const isStill = await this.#ask(name);
    for (const [socket, { address, onMoved }] of connections) {
      if (isStill(address)) continue;
      connections.delete(socket);
      onMoved();
    }
    this.#lookLater(name, connections);
  }

  /** Whether an address is still one of the name's, as far as anybody can say. */
  async #ask(name: string): Promise<(address: string) => boolean> {
    try {
      const { addresses, unknown } = await this.#names.lookUp(name);
      return (address) => addresses.includes(address) || (address.includes(":") ? 6 : 4) === unknown;
    } catch (error) {
      const isGone = error instanceof NameError && error.code === "ENOTFOUND";
      return () => !isGone;
    }
  }
}
