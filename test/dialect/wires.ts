// The two wires of a dialect: the client's connection to the hub, and the connections on which the hub calls the subscriber.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { eventually } from "../support/eventually.ts";

/** Messages as they come over one connection, cut by their Content-Length. */
class Messages {
  #bytes = "";

  add(part: Uint8Array): void {
    this.#bytes += Buffer.from(part).toString("latin1");
  }

  /** The next whole message; undefined while there is none. */
  take(): string | undefined {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const length = Number(/^content-length: *(\d+)/im.exec(this.#bytes.slice(0, end))?.[1] ?? 0);
    const size = end + 4 + length;
    if (this.#bytes.length < size) return undefined;
    const message = this.#bytes.slice(0, size);
    this.#bytes = this.#bytes.slice(size);
    return message;
  }

  /** What came and is no whole message. */
  get rest(): string {
    return this.#bytes;
  }
}

/** The client's side. It keeps its connection while the hub does. */
export class ClientWire {
  readonly #port: number;
  #socket: Socket | undefined;
  #messages = new Messages();
  /** Whether the last request was the last of its connection, as it said. The hub's end may come a moment after its answer. */
  #isLast = false;
  /** How many connections it has opened. */
  connections = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async write(bytes: string): Promise<void> {
    if (this.#isLast || this.#socket === undefined || this.#socket.destroyed || !this.#socket.writable) {
      this.#socket?.destroy();
      const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
      const messages = this.#messages = new Messages();
      socket.on("error", () => {});
      socket.on("data", (part) => messages.add(part));
      socket.on("end", () => socket.destroy());
      await once(socket, "connect");
      this.#socket = socket;
      this.connections++;
    }
    this.#isLast = /^connection: close/im.test(bytes);
    this.#socket.write(bytes, "latin1");
  }

  /** The next answer. */
  async read(): Promise<string> {
    let answer: string | undefined;
    await eventually("the hub's answer", () => (answer = this.#messages.take()) !== undefined, {
      seen: () => this.#messages.rest,
    });
    return answer!;
  }

  close(): void {
    this.#socket?.destroy();
  }
}

/** The subscriber's side: takes whatever the hub sends, and answers with the bytes that it is told. */
export class CallbackWire {
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #received: { readonly message: string; readonly socket: Socket }[] = [];
  readonly #sockets = new Set<Socket>();
  #latest: Socket | undefined;

  async open(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next request of the hub. */
  async read(): Promise<string> {
    await eventually("a request of the hub", () => this.#received.length > 0);
    const { message, socket } = this.#received.shift()!;
    this.#latest = socket;
    return message;
  }

  /** Answers the request that was read last. */
  write(bytes: string): void {
    this.#latest?.write(bytes, "latin1");
  }

  /** Requests that nobody has read. */
  get unread(): readonly string[] {
    return this.#received.map(({ message }) => message);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const messages = new Messages();
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (part) => {
      messages.add(part);
      for (let message = messages.take(); message !== undefined; message = messages.take()) {
        this.#received.push({ message, socket });
      }
    });
  }
}
