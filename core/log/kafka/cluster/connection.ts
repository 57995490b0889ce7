// One connection to one broker, and who we are on it. It is not kafkajs's: that one keeps half an answer across a reconnect, waits for
// pending requests when it is told to close, and lets a fetch wait for the requests before it.
import { NoAnswer, NotAdmitted } from "../protocol/kafka-error.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import { type Exchange, openExchange } from "./exchange.ts";
import { authenticate } from "./sasl.ts";
import type { KafkaSasl, KafkaSecurity } from "./security.ts";

export interface Connection {
  /** @throws {NoAnswer} if the connection ends, or nothing comes within `timeoutMs` (which ends it) */
  send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer>;
  close(): void;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly security: KafkaSecurity;
  readonly connectTimeoutMs: number;
  /** Called once, when a connection that was opened has ended for whatever reason. */
  readonly onEnd: (reason: string) => void;
}

/** @throws {NoAnswer} if the broker cannot be reached in time @throws {NotAdmitted} if it does not admit us */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { security: { tls, sasl }, ...rest } = options;
  const exchange = await openExchange({ ...rest, tls });
  if (sasl !== undefined) {
    const connection = new SaslConnection(exchange, sasl, options);
    await connection.authenticate();
    return connection;
  }
  return {
    send: (request, timeoutMs) => exchange.send(request, timeoutMs),
    close: () => exchange.end("closed here"),
  };
}

/** Authentication is repeated when this share of its lifetime has passed (KIP-368). */
const LIFETIME_SHARE = 0.8;
const AUTHENTICATE_WITHIN_MS = 10_000;

/** A connection that authenticates with SASL, and again before the broker's time limit. */
class SaslConnection implements Connection {
  readonly #exchange: Exchange;
  readonly #sasl: KafkaSasl;
  readonly #address: { readonly host: string; readonly port: number };
  /** Monotonic, ms. */
  #authenticatedUntil = Infinity;
  #authenticating: Promise<void> | undefined;
  #underWay = 0;
  #idle = () => {};

  constructor(exchange: Exchange, sasl: KafkaSasl, { host, port }: ConnectionOptions) {
    this.#exchange = exchange;
    this.#sasl = sasl;
    this.#address = { host, port };
  }

  async send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer> {
    while (this.#authenticating !== undefined || performance.now() >= this.#authenticatedUntil) {
      await (this.#authenticating ??= this.authenticate().finally(() => this.#authenticating = undefined));
    }
    this.#underWay++;
    try {
      return await this.#exchange.send(request, timeoutMs);
    } finally {
      if (--this.#underWay === 0) this.#idle();
    }
  }

  close(): void {
    this.#exchange.end("closed here");
  }

  /** @throws {NotAdmitted} {NoAnswer} and the connection has ended */
  async authenticate(): Promise<void> {
    // The broker accepts nothing else meanwhile: requests on their way are answered first, new ones wait.
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    const exchange = this.#exchange;
    try {
      const lifetimeMs = await authenticate(
        this.#sasl,
        (request) => exchange.send(request, AUTHENTICATE_WITHIN_MS),
        this.#address,
      );
      this.#authenticatedUntil = lifetimeMs > 0 ? performance.now() + lifetimeMs * LIFETIME_SHARE : Infinity;
    } catch (error) {
      if (exchange.isEnded) throw error;
      const { message } = error as Error;
      exchange.end(message, error instanceof NotAdmitted ? NotAdmitted : NoAnswer);
      throw error instanceof NotAdmitted ? new NotAdmitted(`${exchange.where}: ${message}`, { cause: error }) : error;
    }
  }
}
