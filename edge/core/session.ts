// The edge's sessions with its cores (ARCHITECTURE §5). One is opened when a request needs it, and opened anew when it is over
// or the core no longer knows it.

import { getLogger } from "@logtape/logtape";
import { importJWK, SignJWT } from "jose";
import { CORE_PATHS } from "../../shared/core-api.ts";
import { createWebDigests, type Digests } from "../../shared/digests.ts";
import { bytesOfBase64Url } from "../../shared/encoding.ts";
import { Flights, type FlightsOptions } from "../../shared/flights.ts";
import type { HttpClient } from "../../shared/http-client.ts";
import { type EdgeKey, parseSealingKeys } from "../../shared/jwks.ts";
import { randomToken } from "../../shared/random.ts";
import { createSealer, type Sealer } from "../../shared/sealed-secret.ts";
import {
  SESSION_ALGORITHM,
  SESSION_AUDIENCE,
  SESSION_HEADER,
  sessionText,
  writeTicket,
} from "../../shared/session-api.ts";
import { parseObject } from "./core-answers.ts";

/** A request to the core, before it is signed. */
export interface CoreRequest {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array | string;
}

export interface Session {
  /** Seals to the core's newest key. */
  readonly sealer: Sealer;
  /** The request with its session, time, number and MAC; the body as bytes. */
  sign(request: CoreRequest): Promise<CoreRequest>;
}

/** No session was opened; the message says why. */
export class SessionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SessionError";
  }
}

export interface Sessions {
  /** The session with this core, opened if there is none. @throws {SessionError} */
  with(origin: string, timeoutMs: number): Promise<Session>;
  /** The core no longer knows this session: the next call opens another. */
  forget(origin: string, session: Session): void;
}

export interface SessionsOptions {
  readonly http: Pick<HttpClient, "send">;
  readonly key: EdgeKey;
  /** Makes the MAC of each request. Default: WebCrypto's, which every runtime has. */
  readonly digests?: Digests;
  /** ms since 1970. */
  readonly clock: () => number;
  /** How requests share one opening. */
  readonly flights?: FlightsOptions | undefined;
}

interface Entry {
  readonly session: Session;
  /** ms since 1970. */
  readonly endsAt: number;
}

interface Opened {
  readonly session: Session;
  readonly expiresInMs: number;
}

/** A session is replaced this long before the core ends it, ms. */
const BEFORE_END_MS = 30_000;

export function createSessions(options: SessionsOptions): Sessions {
  return new CoreSessions(options);
}

class CoreSessions implements Sessions {
  readonly #http: SessionsOptions["http"];
  readonly #key: EdgeKey;
  readonly #digests: Digests;
  readonly #clock: () => number;
  readonly #logger = getLogger(["tidings", "edge", "session"]);
  /** Sessions by the core's origin. */
  readonly #entries = new Map<string, Entry>();
  readonly #openings: Flights<Session>;
  /** Why the last opening failed, by origin. */
  readonly #failures = new Map<string, string>();
  #privateKey: Awaited<ReturnType<typeof importJWK>> | undefined;

  constructor({ http, key, digests = createWebDigests(), clock, flights }: SessionsOptions) {
    this.#http = http;
    this.#key = key;
    this.#digests = digests;
    this.#clock = clock;
    this.#openings = new Flights(flights);
  }

  async with(origin: string, timeoutMs: number): Promise<Session> {
    const known = this.#entries.get(origin);
    if (known !== undefined && known.endsAt > this.#clock()) return known.session;
    return await this.#openings.join(origin, () => this.#replace(origin, timeoutMs));
  }

  forget(origin: string, session: Session): void {
    if (this.#entries.get(origin)?.session === session) this.#entries.delete(origin);
  }

  async #replace(origin: string, timeoutMs: number): Promise<Session> {
    try {
      const { session, expiresInMs } = await this.#open(origin, timeoutMs);
      const endsAt = this.#clock() + expiresInMs - Math.min(BEFORE_END_MS, expiresInMs / 2);
      this.#entries.set(origin, { session, endsAt });
      this.#failures.delete(origin);
      return session;
    } catch (error) {
      this.#complain(origin, error);
      throw error;
    }
  }

  async #open(origin: string, timeoutMs: number): Promise<Opened> {
    const headers = { authorization: `Bearer ${await this.#token()}` };
    let reply;
    try {
      reply = await this.#http.send({ method: "POST", origin, path: CORE_PATHS.session, headers, timeoutMs });
    } catch (cause) {
      throw new SessionError("The core did not answer", { cause });
    }
    const answer = parseObject(reply.body);
    if (reply.status !== 200) {
      const { message } = answer;
      const reason = typeof message === "string" ? message : `status ${reply.status}`;
      throw new SessionError(`The core opens no session: ${reason}`);
    }
    const { session, key, expiresInMs, jwks } = answer;
    const macKey = typeof key === "string" ? bytesOfBase64Url(key) : null;
    if (typeof session !== "string" || macKey === null || typeof expiresInMs !== "number") {
      throw new SessionError("The core's answer is not a session");
    }
    const sealer = await createSealer(parseSealingKeys(jwks)[0]!);
    return { session: { sealer, sign: this.#signing(session, macKey) }, expiresInMs };
  }

  async #token(): Promise<string> {
    this.#privateKey ??= await importJWK(this.#key, SESSION_ALGORITHM);
    return await new SignJWT()
      .setProtectedHeader({ alg: SESSION_ALGORITHM, kid: this.#key.kid })
      .setAudience(SESSION_AUDIENCE)
      .setIssuedAt(Math.floor(this.#clock() / 1_000))
      .setJti(randomToken(16))
      .sign(this.#privateKey);
  }

  #signing(session: string, key: Uint8Array): Session["sign"] {
    const hmac = this.#digests.hmac(key);
    const clock = this.#clock;
    let numbers = 0;
    return async ({ method, path, headers, body }) => {
      // The MAC covers Accept, and `fetch` adds one of its own where there is none.
      const signed: Record<string, string> = { accept: "application/json", ...headers };
      const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body ?? new Uint8Array(0);
      const time = String(clock());
      const number = String(++numbers);
      const text = sessionText({ method, target: path, session, time, number, header: (name) => signed[name] });
      signed[SESSION_HEADER] = writeTicket({ session, time, number, mac: await hmac(text, bytes) });
      return { method, path, headers: signed, ...(method === "POST" ? { body: bytes } : {}) };
    };
  }

  /** Logs each reason once: requests try again and again. */
  #complain(origin: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#failures.get(origin) === message) return;
    this.#failures.set(origin, message);
    this.#logger.warn("No session with the core at {origin}: {message}", { origin, message });
  }
}
