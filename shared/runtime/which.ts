// Which runtime this is. What the runtimes do differently is in capabilities.ts.

export type Runtime = "node" | "deno" | "bun";

/** Deno and Bun have a global of their name, Node has neither. */
export function runtime(): Runtime {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}
