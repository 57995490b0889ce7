// Tests that may be skipped where something is missing, and may not where the environment says that it must be there.
import type { Skip } from "./junit.ts";

/** By the variable that requires it when it is 1: how a test says that it lacks it. */
export const REQUIRED: Readonly<Record<string, RegExp>> = {
  REQUIRE_KAFKA: /kafka|broker|java|maven/i,
  REQUIRE_CLIENTS: /third-party client/i,
  REQUIRE_PACKAGE: /registry/,
  REQUIRE_HADOLINT: /hadolint/,
  REQUIRE_RUNTIMES: /\b(?:node|deno|bun|workerd|worker)\b/i,
};

/** Says what was skipped although the environment requires it. */
export function requiredButSkipped(
  skipped: readonly Skip[],
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  return Object.entries(REQUIRED).filter(([name]) => environment[name] === "1").flatMap(([name, lacks]) =>
    skipped.filter(({ test, why }) => lacks.test(`${test} ${why}`))
      .map(({ test, why }) => `${test} was skipped${why === "" ? "" : ` (${why})`}, and ${name}=1`)
  );
}
