// Serving on whatever runtime this is.

import type { Served, ServeOptions } from "../serve.ts";
import { serveOnBun, serveOnDeno } from "./serve-native.ts";
import { serveOnNode } from "./serve-node.ts";
import { runtime } from "./process.ts";

/**
 * Listens and serves; resolves when the port is open.
 * @throws {Error} with a sentence for people, such as "… port 9191 is already in use"
 */
export function serve(options: ServeOptions): Promise<Served> {
  const adapters = { node: serveOnNode, deno: serveOnDeno, bun: serveOnBun };
  return adapters[runtime()](options);
}
