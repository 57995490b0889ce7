// How the tiers' processes are run on Node, and V8 on Deno. `start:edge` and `start:core` in package.json say the same.
import { join } from "node:path";
import { nodeModules } from "./installation.ts";

/**
 * The young generation is small: a message's garbage dies at once, and by default 100 MB of it pile up first (a core under
 * 6,000 publishes/s: 315 MB of RSS by default, 200 MB with this, at the same rate).
 */
export const YOUNG_GENERATION = "--max-semi-space-size=4";

export const NODE_FLAGS: readonly string[] = [YOUNG_GENERATION, "--disable-warning=TimeoutNegativeWarning"];

/**
 * Compiled code is kept between starts (Node skips it where the folder cannot be written): a start takes half the time, and
 * each process 30 MB less, as the parser of types is not even loaded.
 */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: join(nodeModules(), ".cache", "tidings"),
};
