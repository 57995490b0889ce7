// The delivery transport port: one POST at a time to one callback. Node and Deno: undici-transport.ts.
import type { HttpUrl } from "../../../shared/http-url.ts";

/** What the transport is asked to send, and told of what came of it. Exactly one of `answered` and `failed` is called, once. */
export interface Post {
  readonly url: HttpUrl;
  readonly body: Buffer;
  /** Name and value in turn. */
  readonly headers: string[];
  /** Asked right before the request is written, which may be long after `post`: false, and it fails unsent (A3.4). */
  mayGo(): boolean;
  /** A complete answer, or one whose status is known and whose body was cut (it is ignored, §7). */
  answered(status: number, retryAfter: string | undefined): void;
  /** No answer: `reason` is a short phrase for people ("timed out", "connection refused", "no address to call"). */
  failed(reason: string): void;
}

export interface Transport {
  /** Sends; the deadline for the answer's head and the caps on its body (64 KiB, 1 s) are the transport's matter. */
  post(post: Post): void;
  /** Ends idle connections, fails what is in flight. */
  close(): Promise<void>;
}
