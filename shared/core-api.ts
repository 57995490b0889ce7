// What the edge says to the core, and what the core answers: the contract between the tiers (ARCHITECTURE §1).
// JSON over HTTP, except content, whose bytes travel untouched behind their fields (shared/content-frame.ts).

import type { SignatureMethod } from "./signature-methods.ts";

/** Every operation is made at an edge, once: retries carry the same id and time, and the core deduplicates (A3.8). */
export interface OperationHead {
  /** 1–64 of `A–Z a–z 0–9 _ -`, made at the edge, unique. */
  readonly id: string;
  /** When the edge made it, ms since 1970. A core refuses one that is over 90 s old. */
  readonly madeAt: number;
}

/** Who a verified token speaks for (WIRE §6); where nobody has to show one, everybody is one anonymous client. */
export interface ClientIdentity {
  readonly issuer: string;
  /** The value of `claim`. In a record from before claims were recorded: `preferred_username`, or else `sub`. */
  readonly userId: string;
  /** The claim that names the client, `sub` if there is one: no value of another claim is the same client. */
  readonly claim?: string;
  /**
   * What stands in `userId` of this client's records from before claims were recorded; absent if it is `userId`. It is compared with
   * such records only, and is no part of the identity.
   */
  readonly name?: string;
}

/** Who makes an operation, for fair shares (ARCHITECTURE §4): the client, where a token says one, else the address that the request came from. */
export interface Asking {
  /** Absent: the anonymous client. */
  readonly client?: ClientIdentity;
  /** The address, as `requesterIdOf` names it. */
  readonly requester?: string;
}

export interface RegisterOperation extends OperationHead {
  readonly kind: "register";
  readonly topic: string;
  /** The client that owns the topic, if it is new; absent: the anonymous client. */
  readonly client?: ClientIdentity;
}
export interface DeregisterOperation extends OperationHead {
  readonly kind: "deregister";
  readonly topic: string;
}
/**
 * A subscribe or unsubscribe that was validated and is to be verified. `topic` and `callback` exactly as the subscriber sent
 * them.
 */
export interface IntentOperation extends OperationHead, Asking {
  readonly kind: "intent";
  readonly mode: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  /** Granted lease, ms; subscribe only. */
  readonly leaseMs?: number;
  /**
   * `hub.secret`, sealed at the edge (shared/sealed-secret.ts) to the first key of the core that this is sent to. Of an unsubscribe it
   * only tells whose request it is.
   */
  readonly secret?: string;
  /** `hub.signature`, how deliveries are signed; subscribe only. Absent: as `SIGNATURE` says. */
  readonly signature?: SignatureMethod;
  /** `hub.verify_token`, sealed as the secret is. */
  readonly sealedToken?: string;
  /** `hub.verify_token` in clear, from an edge that does not seal it yet: the core does. */
  readonly verifyToken?: string;
  /** 1–64; subscribe only. */
  readonly concurrency?: number;
  /** `hub.start` as sent: latest, earliest, an ISO-8601 time or a cursor; subscribe only. */
  readonly start?: string;
  /** A verified subscribe makes the subscription this client's. */
  readonly client?: ClientIdentity;
  /** The edge's policy marks this very request as verified (WIRE §2): it counts where `AUTO_VERIFY` and the fold say so. */
  readonly marked?: true;
  /** The edge cannot pin addresses, so it will not verify this: the owner does so at once (A3.6). */
  readonly unpinned?: true;
}
/** Why an intent was not verified (WIRE §5): a complete answer that did not confirm it, or no complete answer. */
export type VerificationOutcome = "refused" | "failed";

/** What came of verifying an intent. */
export interface ResultOperation extends OperationHead {
  readonly kind: "result";
  /** The id of the intent's operation. */
  readonly intent: string;
  readonly mode: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  readonly verified: boolean;
  /** Absent if verified, and of an edge that does not say it. */
  readonly outcome?: VerificationOutcome;
  /** Why not, in words that the subscriber may read. */
  readonly reason?: string;
  /** ms between sending the challenge that was answered and sending this result: the lease counts from the challenge (A3.7). */
  readonly elapsedMs: number;
}
/** One or more topics changed; the core fetches those that have a subscription. */
export interface PingOperation extends OperationHead, Asking {
  readonly kind: "ping";
  readonly topics: readonly string[];
  /** The client that owns those topics that are new. */
  readonly client?: ClientIdentity;
}
export type Operation = RegisterOperation | DeregisterOperation | IntentOperation | ResultOperation | PingOperation;

interface MoveHead extends OperationHead {
  readonly topic: string;
  readonly callback: string;
  readonly caller: Caller;
}
export interface AckOperation extends MoveHead {
  readonly kind: "ack";
  readonly cursor: string;
}
export interface ResumeOperation extends MoveHead {
  readonly kind: "resume";
  /** As sent: earliest, an ISO-8601 time or a cursor. */
  readonly from?: string;
}
export interface ReplayOperation extends MoveHead {
  readonly kind: "replay";
  /** The request's Idempotency-Key. */
  readonly key: string;
  /** A message id; without it, all dead letters that there are. */
  readonly letter?: string;
}
/** Moves a position, or sends dead letters again, on a request from outside (WIRE §5); answered with the status after it. */
export type MoveOperation = AckOperation | ResumeOperation | ReplayOperation;

/** Paths of the core's HTTP app, all on `CORE_LISTEN`. */
export const CORE_PATHS = {
  /** POST an `Operation` as JSON. 200 with an `OperationAnswer`. */
  operations: "/v1/operations",
  /**
   * POST content as a frame (shared/content-frame.ts). 200 with a `ContentAnswer`.
   * GET ?topic=&callback=[&after=][&since=][&limit=][&lastEventId=] with a `Caller`: 200 with `MissedMessages`, or with
   * `Accept: text/event-stream` a stream of events, one `MissedMessage` each.
   */
  messages: "/v1/messages",
  /**
   * GET ?topic=&callback= with a `Caller`. 200 with a `SubscriptionStatus`, 404 if the pair was never known.
   * POST a `MoveOperation` as JSON. 200 with the `SubscriptionStatus` after it.
   */
  subscriptions: "/v1/subscriptions",
  /** POST with an edge's token (shared/session-api.ts): the only path of these that is open without a session. */
  session: "/v1/session",
  /** GET ?topic=&callback=[&after=][&limit=] with a `Caller`. 200 with `DeadLetters`. */
  deadLetters: "/v1/dead-letters",
  /** GET ?topic=&callback=&timestamp=[&pageindex=][&messageCount=] with a `TextSigner`. 200 with `FailedContents`. */
  failedContent: "/v1/failed-content",
} as const;

/** What an idempotency key may be: 1–255 visible ASCII characters (WIRE §1). */
export const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * Who asks about a subscription (WIRE §5, §6), as the edge found out; the core decides, since it has the secrets. On a GET it
 * is the header `CALLER_HEADER`, on an operation its field `caller`.
 */
export type Caller =
  /** The edge lets anyone ask (ACCESS=open). */
  | { readonly kind: "anyone"; readonly requester?: string }
  /** A token with the subscribe right: it may if the subscription is this client's. */
  | ({ readonly kind: "client" } & ClientIdentity)
  /** A token with the role `websub:operate`. */
  | ({ readonly kind: "operator" } & ClientIdentity)
  | ({ readonly kind: "signature" } & SignedRequest);

/** A request as its subscriber sent and signed it: at the edge, not between the tiers. */
export interface SignedRequest {
  readonly method: string;
  /** As it stood in the request line, without the query. */
  readonly path: string;
  /** Raw, without the "?"; "" if there is none. */
  readonly query: string;
  /** X-Subscriber-Timestamp and X-Subscriber-Signature, verbatim. */
  readonly timestamp: string;
  readonly signature: string;
  /** Lower-case hex SHA-256 of the body. */
  readonly bodySha256: string;
  /** As in `Asking`. */
  readonly requester?: string;
  /** The headers that a signature `v2=` covers; absent from an edge that does not know it. */
  readonly headers?: SignedHeaders;
}

/** Headers that change what a request means. */
export interface SignedHeaders {
  /** Idempotency-Key and Last-Event-ID, verbatim; "" if there is none. */
  readonly idempotencyKey: string;
  readonly lastEventId: string;
  /** Accept asks for events. */
  readonly events: boolean;
}

/**
 * Who asks for failed content (WIRE §5, MOSIP's client): whoever has signed this text with the subscription's secret. No time is
 * signed, so the signature can be replayed, and it counts for nothing else.
 */
export interface TextSigner {
  readonly kind: "text";
  readonly text: string;
  /** X-Subscriber-Signature, verbatim: the base64 of an HMAC-SHA256. */
  readonly signature: string;
  /** As in `Asking`. */
  readonly requester?: string;
}

/** A `Caller` or `TextSigner` as JSON, percent-encoded (encodeURIComponent). */
export const CALLER_HEADER = "x-tidings-caller";

/** How long request line and headers may be together at the core: topic, callback and a signed caller, percent-encoded. */
export const CORE_MAX_HEADER_BYTES = 128 * 1024;

export type OperationAnswer =
  | { readonly kind: "done" }
  | IntentAnswer;

export interface IntentAnswer {
  readonly kind: "intent";
  /** It orders a pair's intents. */
  readonly offset: number;
  /** The edge is to verify the intent; if false, the core verifies or has denied it. */
  readonly verify: boolean;
  /** It is of who has the subscription. An older core does not say it. */
  readonly isOwn?: true;
  /** The id of an older intent that waits no longer: this one has taken its place. */
  readonly replaces?: string;
}

export interface ContentAnswer {
  /** The message id: what `webhook-id` will be on every attempt. */
  readonly id: string;
  readonly cursor: string;
}

export type SubscriptionState =
  /** It never was verified, and its last verification failed less than a day ago. */
  | "unverified"
  | "active"
  | "parked"
  | "expired"
  | "unsubscribed"
  | "gone"
  | "revoked"
  | "deregistered";

/** WIRE §5. Times are ISO-8601; cursors are opaque; gaps are after `from`, up to and including `to`. */
export interface SubscriptionStatus {
  readonly topic: string;
  readonly callback: string;
  readonly state: SubscriptionState;
  readonly leaseExpiresAt: string | null;
  readonly cursor: string | null;
  readonly lag: number;
  readonly oldestUndeliveredAt: string | null;
  readonly lastError: string | null;
  readonly stuck: StuckMessage | null;
  readonly gaps: readonly { readonly from: string; readonly to: string }[];
  /** The last verification, if it failed and less than a day ago. */
  readonly lastVerification: LastVerification | null;
}

/** `at` is ISO-8601. `reason` is for people. */
export interface LastVerification {
  readonly at: string;
  readonly outcome: VerificationOutcome;
  readonly reason: string;
}

/** The message that holds its subscription up. `cursor` is the message's, `since` the time of its first attempt. */
export interface StuckMessage {
  readonly id: string;
  readonly cursor: string;
  readonly attempts: number;
  /** The attempts that were answered with a status of 500 to 599. */
  readonly answered5xx: number;
  readonly since: string;
}

/** WIRE §5: `body` if the bytes are UTF-8, else `bodyBase64`. */
export type MissedMessage =
  & { readonly id: string; readonly cursor: string; readonly publishedAt: string; readonly contentType: string }
  & ({ readonly body: string } | { readonly bodyBase64: string });

export interface MissedMessages {
  readonly messages: readonly MissedMessage[];
  /** Where to go on: everything after it has not been read. */
  readonly next: string;
  readonly more: boolean;
}

/** WIRE §5. `cursor` is the message's. */
export interface DeadLetterEntry {
  readonly id: string;
  readonly cursor: string;
  readonly reason: string;
  readonly status: number;
  readonly attempts: number;
  readonly firstAt: string;
  readonly lastAt: string;
}

export interface DeadLetters {
  readonly deadLetters: readonly DeadLetterEntry[];
  readonly next: string;
  readonly more: boolean;
}

/** WIRE §5: what MOSIP's client reads, with exactly these two fields. */
export interface FailedContents {
  readonly failedcontents: readonly {
    /** The body as UTF-8, with U+FFFD for what is not. */
    readonly message: string;
    /** When it was published, yyyy-MM-dd'T'HH:mm:ss.SSS'Z'. */
    readonly timestamp: string;
  }[];
}

/** Any answer that is not 2xx: JSON. The edge turns it into what WIRE §1 says. */
export interface CoreRefusal {
  readonly code: RefusalCode;
  /** One sentence that names the parameter and says what to do. Safe to show to the requester. */
  readonly message: string;
}
/** Codes with their statuses between the tiers. */
export const REFUSALS = {
  invalid_request: 400,
  /** No token and no right signature: the same for an unknown pair, a pair without a secret and a wrong signature. */
  unauthorized: 401,
  /** The request is not of a session of this core (shared/session-api.ts): the edge opens one, and tries again. */
  no_session: 401,
  not_found: 404,
  /** The subscription has ended; its status can still be asked for. */
  gone: 410,
  too_large: 413,
  /** The same key was used for something else. */
  conflict: 422,
  too_many: 429,
  /** The operation is older than 90 s: it is not retried. */
  stale_operation: 409,
  unavailable: 503,
  /** This core already does as much as it can at once: asking again at once does not help. */
  overloaded: 503,
} as const;
export type RefusalCode = keyof typeof REFUSALS;
