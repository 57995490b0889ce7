// Which runtime this is. The rest of the code reads capabilities, never this.

export type Runtime = "node" | "deno" | "bun";

/** Deno and Bun have a global of their name, Node has neither. */
export function runtime(): Runtime {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}
