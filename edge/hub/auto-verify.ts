// Verification without a challenge (WIRE §2): where AUTO_VERIFY is on, a hook may mark a request as verified. The policy that
// comes with the hub is such a hook.

import { getLogger } from "@logtape/logtape";
import { parseHttpUrl } from "../../shared/http-url.ts";
import type { Client } from "../auth/client.ts";

/** A subscribe or unsubscribe that was admitted. `topic` and `callback` exactly as sent. */
export interface VerifiableRequest {
  readonly mode: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  /** Granted, ms; subscribe only. */
  readonly leaseMs?: number;
  /** Who asks; undefined: the anonymous client. */
  readonly client: Client | undefined;
}

export interface VerificationController {
  /**
   * Takes this request as verified: no challenge goes out, unless another client has the pair, or waits for its verification.
   * @throws {AutoVerifyError} if AUTO_VERIFY is off, or the request is not the one in hand; the challenge then goes out
   */
  markAsVerified(request: VerifiableRequest): void;
}

/** Looks at one request, and may mark it. If it throws, the error is logged and the challenge goes out. */
export type OnIntent = (request: VerifiableRequest, controller: VerificationController) => void | Promise<void>;

export class AutoVerifyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AutoVerifyError";
  }
}

/** Whether the hook marks this very request. Never rejects. */
export async function isMarked(
  request: VerifiableRequest,
  hook: OnIntent | undefined,
  autoVerify: boolean,
): Promise<boolean> {
  if (hook === undefined) return false;
  let marked = false;
  let over = false;
  const controller: VerificationController = {
    markAsVerified(other) {
      if (!autoVerify) throw new AutoVerifyError("A request was marked as verified, but TIDINGS_AUTO_VERIFY is off");
      if (other !== request) throw new AutoVerifyError("A request was marked as verified that is not the one in hand");
      if (over) throw new AutoVerifyError("A request was marked as verified after its challenge had gone out");
      marked = true;
    },
  };
  try {
    await hook(request, controller);
  } catch (error) {
    marked = false;
    getLogger(["tidings", "edge", "auto-verify"]).error("A request is not taken as verified: {error}", { error });
  }
  over = true;
  return marked;
}

/** A callback origin that belongs to a client (AUTO_VERIFY_ORIGINS). */
export interface RegisteredOrigin {
  readonly issuer: string;
  /** Undefined: `userId` is the `preferred_username` of tokens that have one, and what names the client of those without. */
  readonly claim?: Client["claim"] | undefined;
  readonly userId: string;
  /** As `parseHttpUrl` writes it: scheme://host:port. */
  readonly origin: string;
}

const AUTO_VERIFY = "websub:auto-verify";

/** The hub's own policy marks requests of a client with the role or scope `websub:auto-verify`, or for an origin of its own. */
export function createAutoVerify(origins: readonly RegisteredOrigin[]): OnIntent {
  return (request, controller) => {
    const { client, callback } = request;
    if (client === undefined) return;
    const { origin } = parseHttpUrl(callback);
    const isTheirs = origins.some((known) =>
      known.origin === origin && known.issuer === client.issuer && known.userId === namedBy(known.claim, client)
    );
    if (isTheirs || client.roles.has(AUTO_VERIFY) || client.scopes.has(AUTO_VERIFY)) controller.markAsVerified(request);
  };
}

function namedBy(claim: RegisteredOrigin["claim"], { claim: own, userId, name }: Client): string | undefined {
  if (claim === undefined) return name ?? userId;
  if (claim === "preferred_username") return name;
  return claim === own ? userId : undefined;
}
