// Which of the three runtimes this is.

export type Runtime = "node" | "deno" | "bun";

/** Deno and Bun say so by a global of theirs; what has neither is Node. */
export function runtime(): Runtime {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}
