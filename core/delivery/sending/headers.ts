// The headers of an attempt, signed with a secret that is opened for it. A lane whose secret cannot be opened sends nothing.
import { SecretError } from "../../keys/secrets.ts";
import type { Signers } from "../../keys/signers.ts";
import type { Message } from "../../messages/message.ts";
import { attemptHeaders, type SignatureAlgorithm, type Target } from "../lane/target.ts";

export interface SignedHeadersOptions {
  readonly signers: Signers;
  readonly userAgent: string;
  readonly signature: SignatureAlgorithm;
}

/** Name and value in turn, or why the secret cannot be opened. */
export type SignedHeaders = (target: Target, message: Message, now: number) => string[] | SecretError;

export function createSignedHeaders(options: SignedHeadersOptions): SignedHeaders {
  const { signers, userAgent, signature: algorithm } = options;
  return (target, message, now) => {
    try {
      const { signer } = target;
      // Opened if it is not open yet.
      const signing = signer === undefined ? undefined : signers.of(signer);
      return attemptHeaders(target, message, { userAgent, algorithm, signing, now });
    } catch (error) {
      if (error instanceof SecretError) return error;
      throw error;
    }
  };
}
