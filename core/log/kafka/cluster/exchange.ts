// Requests and answers over one socket. Any failure ends it, and a new one is opened.
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { CHECKED } from "../../../../shared/checked-tls.ts";
import { createAnswers, frameHead } from "../protocol/frames.ts";
import { NoAnswer, NotAdmitted, TurnedAway } from "../protocol/kafka-error.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import type { KafkaTls } from "./security.ts";

export interface ExchangeOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly tls: KafkaTls | undefined;
  readonly connectTimeoutMs: number;
  /** Called once, when an exchange that was connected has ended for whatever reason. */
  readonly onEnd: (reason: string) => void;
}

interface Waiting {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const KEEP_ALIVE_MS = 60_000;
const DEMANDS = "it may demand TLS (TIDINGS_KAFKA_TLS_CA), a certificate (TIDINGS_KAFKA_TLS_CERT) or SASL " +
  "(TIDINGS_KAFKA_SASL_MECHANISM)";
/** Error codes of a certificate that is wrong, or of a server that does not speak TLS. */
const DISTRUST = /^(?:ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_|HOSTNAME)/;

/** @throws {NoAnswer} if the broker cannot be reached in time @throws {NotAdmitted} if there is no TLS with it */
export async function openExchange(options: ExchangeOptions): Promise<Exchange> {
  const exchange = new Exchange(options);
  await exchange.connected();
  return exchange;
}

export class Exchange {
  readonly where: string;
  readonly #options: ExchangeOptions;
  readonly #socket: Socket;
  /** Requests that wait for an answer, by correlation id. */
  readonly #waiting = new Map<number, Waiting>();
  #connecting: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  #answered = false;
  #correlation = 0;
  #ended: string | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.where = `${options.host}:${options.port}`;
    this.#socket = dial(options);
    this.#listen();
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  async connected(): Promise<void> {
    const { tls, connectTimeoutMs } = this.#options;
    const late = setTimeout(() => this.end(`no connection within ${connectTimeoutMs} ms`), connectTimeoutMs);
    this.#socket.once("close", () => clearTimeout(late));
    this.#socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(late);
      this.#connecting?.resolve();
      this.#connecting = undefined;
    });
    await this.#connecting?.promise;
  }

  /** @throws {NoAnswer} if the exchange ends, or nothing comes within `timeoutMs` (which ends it) */
  async send<Answer>(request: KafkaRequest<Answer>, timeoutMs: number): Promise<Answer> {
    const body = request.encode();
    if (this.#ended !== undefined) throw new NoAnswer(`${this.where}: ${this.#ended}`);
    const id = this.#correlation = (this.#correlation + 1) & 0x7fffffff;
    const answer = new Promise<Buffer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const late = setTimeout(() => this.end(`no answer to ${request.name} within ${timeoutMs} ms`), timeoutMs);
    this.#write(frameHead(request, id, this.#options.clientId, body), body);
    try {
      return request.decode(await answer);
    } finally {
      clearTimeout(late);
    }
  }

  /** Ends the exchange: requests that wait for an answer reject with an error of this kind. */
  end(reason: string, Kind: typeof NoAnswer = NoAnswer): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#socket.destroy();
    const error = new Kind(`${this.where}: ${reason}`);
    if (this.#connecting !== undefined) return this.#connecting.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#options.onEnd(reason);
  }

  #write(head: Buffer, body: readonly Uint8Array[]): void {
    this.#socket.cork();
    this.#socket.write(head);
    for (const part of body) this.#socket.write(part);
    this.#socket.uncork();
  }

  #listen(): void {
    const answers = createAnswers((correlationId, body) => {
      this.#answered = true;
      this.#waiting.get(correlationId)?.resolve(body);
      this.#waiting.delete(correlationId);
    }, this.#options.tls === undefined);
    this.#socket.on("data", (chunk) => {
      try {
        answers(chunk);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.end(reason, error instanceof NotAdmitted ? NotAdmitted : NoAnswer);
      }
    });
    this.#socket.on("error", (error: NodeJS.ErrnoException & { readonly reason?: string }) => {
      if (DISTRUST.test(error.code ?? "")) this.end(`no TLS with it: ${error.reason ?? error.message}`, NotAdmitted);
      else if (error.code === "ECONNRESET" && !this.#answered) {
        this.end(`the broker reset the connection; ${DEMANDS}`, TurnedAway);
      } else this.end(error.message);
    });
    this.#socket.on("close", () => {
      if (this.#answered) this.end("the broker closed the connection");
      else this.end(`the broker closed the connection without an answer; ${DEMANDS}`, TurnedAway);
    });
  }
}

/** How far away one of several addresses may be, ms. Node itself gives each of them up after 250 ms. */
const NEXT_ADDRESS_MS = 1_000;

function dial({ host, port, tls }: ExchangeOptions): Socket {
  const target = { host, port, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS };
  const socket: Socket = tls === undefined ? connect(target) : connectTls({
    ...tlsOptions(tls),
    ...target,
    // A server name cannot be an address; an address is compared with the certificate as it is.
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}

function tlsOptions({ ca, cert, key }: KafkaTls) {
  return {
    ...CHECKED,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
}
