// The outbound port: every call to an address that a stranger named goes through here (WIRE §7): verification GETs, denied
// notices, topic fetches. Deliveries have their own transport (core/delivery/sending) behind the same guard. An adapter is done
// when it passes test/contract/outbound.ts.

/** What a call is for: it labels what the guard refuses. A new outbound path is named here. */
export type OutboundPath = "verification" | "notice" | "fetch";

/**
 * One call. The URL is called as given; only characters that no URL has are percent-encoded. Redirects are followed only if asked, each hop guarded.
 */
export interface OutboundRequest {
  readonly path: OutboundPath;
  readonly method: "GET" | "POST";
  readonly url: string;
  /** On whose behalf (shared/shares/requester.ts); without one each host that is called stands for itself. */
  readonly requester?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** From start to the last byte, ms; all redirects included. */
  readonly deadlineMs: number;
  /** The body is read up to this many bytes (after decompression); a longer one is `too_large`. */
  readonly maxBytes: number;
  /** Default 0: a 3xx is an answer like any other. */
  readonly maxRedirects?: number;
  readonly signal?: AbortSignal;
}

export type OutboundAnswer =
  /** A complete answer. Header names are lower-case; repeated ones are joined by ", ". `url` is that of the last hop. */
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
    readonly url: string;
  }
  /** No complete answer. `forbidden`: the guard refused an address or port. `reason` is for logs, never for the requester. */
  | {
    readonly kind: "failed";
    readonly code: "timeout" | "network" | "forbidden" | "too_large" | "aborted";
    readonly reason: string;
    /** Of "network": why, in words that the subscriber may read. */
    readonly told?: string;
  };

export interface Outbound {
  readonly supports: {
    /** The address that was checked is the one that is dialled. Where false, the core verifies intent. */
    readonly pinning: boolean;
  };
  /** Never rejects. */
  call(request: OutboundRequest): Promise<OutboundAnswer>;
  close(): Promise<void>;
}
