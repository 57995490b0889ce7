// The edge's sessions with its cores (ARCHITECTURE §5): opened when one is needed, opened again when it is over or the core is
// another one.
import { getLogger } from "@logtape/logtape";
import { importJWK, SignJWT } from "jose";
import { CORE_PATHS } from "../../shared/core-api.ts";
import { bytesOfBase64Url } from "../../shared/encoding.ts";
import type { Digests } from "../../shared/digests.ts";
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
  /** The core knows it no more: the next call opens another. */
  forget(origin: string, session: Session): void;
}

export interface SessionsOptions {
  readonly http: Pick<HttpClient, "send">;
  readonly key: EdgeKey;
  readonly digests: Digests;
  /** ms since 1970. */
  readonly clock: () => number;
}

interface Entry {
  readonly opening: Promise<Session>;
  session: Session | undefined;
  endsAt: number;
}

/** A session is opened anew this long before the core ends it. */
const BEFORE_END_MS = 30_000;

export function createSessions({ http, key, digests, clock }: SessionsOptions): Sessions {
  const open = new Map<string, Entry>();
  const failures = new Map<string, string>();
  const log = getLogger(["tidings", "edge", "session"]);
  let privateKey: ReturnType<typeof importJWK> | undefined;

  async function token(): Promise<string> {
    privateKey ??= importJWK(key, SESSION_ALGORITHM);
    return await new SignJWT()
      .setProtectedHeader({ alg: SESSION_ALGORITHM, kid: key.kid })
      .setAudience(SESSION_AUDIENCE)
      .setIssuedAt(Math.floor(clock() / 1_000))
      .setJti(randomToken(16))
      .sign(await privateKey);
  }

  /** Each reason once: requests try again and again. */
  function complain(origin: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (failures.get(origin) === message) return;
    failures.set(origin, message);
    log.warn("No session with the core at {origin}: {message}", { origin, message });
  }

  async function openSession(origin: string, timeoutMs: number): Promise<{ session: Session; inMs: number }> {
    const headers = { authorization: `Bearer ${await token()}` };
    let reply;
    try {
      reply = await http.send({ method: "POST", origin, path: CORE_PATHS.session, headers, timeoutMs });
    } catch (cause) {
      throw new SessionError("The core did not answer", { cause });
    }
    const answer = parse(reply.body);
    if (reply.status !== 200) {
      const { message } = answer;
      const reason = typeof message === "string" ? message : `status ${reply.status}`;
      throw new SessionError(`The core opens no session: ${reason}`);
    }
    const { session, key: encoded, expiresInMs, jwks } = answer;
    if (typeof session !== "string" || typeof encoded !== "string" || typeof expiresInMs !== "number") {
      throw new SessionError("The core's answer is no session");
    }
    const macKey = bytesOfBase64Url(encoded);
    if (macKey === null) throw new SessionError("The core's answer is no session");
    const sealer = await createSealer(parseSealingKeys(jwks)[0]!);
    return { session: { sealer, sign: signing(session, macKey) }, inMs: expiresInMs };
  }

  function signing(session: string, key: Uint8Array): Session["sign"] {
    const hmac = digests.hmac(key);
    let numbers = 0;
    return async ({ method, path, headers, body }) => {
      const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body ?? new Uint8Array(0);
      const time = String(clock());
      const number = String(++numbers);
      const header = (name: string) => headers[name];
      const text = sessionText({ method, target: path, session, time, number, header });
      const signed = {
        ...headers,
        [SESSION_HEADER]: writeTicket({ session, time, number, mac: await hmac(text, bytes) }),
      };
      return { method, path, headers: signed, ...(method === "POST" ? { body: bytes } : {}) };
    };
  }

  return {
    async with(origin, timeoutMs) {
      const known = open.get(origin);
      if (known !== undefined && known.endsAt > clock()) return await known.opening;
      const opening = openSession(origin, timeoutMs);
      const entry: Entry = { opening: opening.then(({ session }) => session), session: undefined, endsAt: Infinity };
      open.set(origin, entry);
      // Who waits for it hears of a failure; often that is nobody but us, below.
      entry.opening.catch(() => {});
      try {
        const { session, inMs } = await opening;
        entry.session = session;
        entry.endsAt = clock() + inMs - Math.min(BEFORE_END_MS, inMs / 2);
        failures.delete(origin);
        return session;
      } catch (error) {
        if (open.get(origin) === entry) open.delete(origin);
        complain(origin, error);
        throw error;
      }
    },
    forget(origin, session) {
      if (open.get(origin)?.session === session) open.delete(origin);
    },
  };
}

function parse(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Whatever it is, it is not a core's.
  }
  return {};
}
