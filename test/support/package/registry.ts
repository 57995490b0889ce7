// The package registry, which a machine may be unable to reach.

/** What npm says where the registry does not answer. */
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/;

/** Why a test is skipped whose npm command ended like this. @throws {unknown} the error itself, if the registry is not its cause */
export function whyNoRegistry(error: unknown): string {
  if (!UNREACHABLE.test(String(error))) throw error;
  return "the package registry cannot be reached";
}
