// The port of the delivery transport: one POST to one callback. test/contract/transport.ts is what every adapter must do.
import type { HttpUrl } from "../../../shared/http-url.ts";

/** What the transport is to send, and who hears of the answer. Exactly one of `answered` and `failed` is called, once. */
export interface Post {
  readonly url: HttpUrl;
  /** On whose behalf (shared/shares/requester.ts); without one the callback's host stands for itself. */
  readonly requester?: string | undefined;
  readonly body: Buffer;
  /** Name and value in turn. */
  readonly headers: string[];
  /** Asked right before the request is written, which may be long after `post`. If it says no, the request fails unsent (A3.4). */
  mayGo(): boolean;
  /** An answer came. Its body is ignored (§7), and may have been cut. */
  answered(status: number, retryAfter: string | undefined): void;
  /** No answer came. `reason`: a short phrase for people ("timed out", "connection refused", "no address to call"). */
  failed(reason: string): void;
}

export interface Transport {
  /** Sends. The transport has a deadline for the head of the answer, and caps on its body: 64 KiB, 1 s. */
  post(post: Post): void;
  /** Closes idle connections, and fails what is in flight. */
  close(): Promise<void>;
}
