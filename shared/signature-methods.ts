// How `X-Hub-Signature` may be made (§7.1): SIGNATURE for the hub, `hub.signature` for one subscription.

export const SIGNATURE_METHODS = ["sha1", "sha256", "sha384", "sha512"] as const;
export type SignatureMethod = (typeof SIGNATURE_METHODS)[number];

export function isSignatureMethod(text: string): text is SignatureMethod {
  return SIGNATURE_METHODS.some((method) => method === text);
}
