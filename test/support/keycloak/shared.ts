// One Keycloak for all test files of a run. They make realms of their own, and do not stop it.
import { keycloakMissing } from "./distribution.ts";
import { startKeycloak } from "./keycloak.ts";

/** A Keycloak that test files share. */
export interface KeycloakForTests extends AsyncDisposable {
  /** Its address without a path, for `createRealm`. */
  readonly origin: string;
}

const SHARED = "TIDINGS_TEST_KEYCLOAK";

/** Why no Keycloak can be started here, which is also printed, or false: for `describe(title, { skip })`. */
export async function whyNoKeycloak(): Promise<string | false> {
  const missing = await keycloakMissing();
  if (missing === undefined) return false;
  console.error(`\n!!! THE TESTS WITH KEYCLOAK ARE SKIPPED: ${missing}\n`);
  return missing;
}

/** The Keycloak of this run; one of its own for a file that runs alone. */
export async function keycloakForTests(): Promise<KeycloakForTests> {
  const origin = process.env[SHARED];
  return origin ? { origin, [Symbol.asyncDispose]: () => Promise.resolve() } : await startKeycloak();
}

/** The environment that makes test files use a Keycloak that was started here. */
export function environmentOf(origin: string): Record<string, string> {
  return { [SHARED]: origin };
}
