// Why a request is refused before it reaches the core: one sentence that names the parameter and says what to do (WIRE §1).

/** Codes with their HTTP statuses. */
export const HUB_ERRORS = {
  invalid_request: 400,
  /** Nothing in the request says who asks. */
  unauthorized: 401,
  /** RFC 6750 §3.1: malformed, expired, or not for this hub. */
  invalid_token: 401,
  /** ACCESS lets nobody do this. */
  forbidden: 403,
  /** RFC 6750 §3.1: the hub knows who asks, and the policy says no. */
  insufficient_scope: 403,
  /** The body comes more slowly than any line that is meant to be served. */
  too_slow: 408,
  too_large: 413,
  too_many: 429,
  overloaded: 503,
  /** The issuer cannot be asked about a token, which may be good. */
  unavailable: 503,
} as const;
export type HubErrorCode = keyof typeof HUB_ERRORS;

/** The requester sees its message: it holds no secret, and text of the request only as `quoted`. */
export class HubError extends Error {
  readonly code: HubErrorCode;
  /** When to try again, s, where that is known. */
  readonly retryAfterS: number | undefined;
  constructor(code: HubErrorCode, message: string, options?: ErrorOptions & { readonly retryAfterS?: number }) {
    super(message, options);
    this.name = "HubError";
    this.code = code;
    this.retryAfterS = options?.retryAfterS;
  }
}

/** Text of the request as it may stand in a message: quoted, one line, at most 60 characters. */
export function quoted(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return `"${short.replace(/[\u0000-\u001f\u007f-\u009f\ud800-\udfff\u2028\u2029"]/g, "?")}"`;
}
