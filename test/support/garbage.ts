// Asks this runtime's own collector, so that a test sees what is still referred to.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pause } from "./eventually.ts";

/** Collects all garbage now. */
const collect: () => void = "Bun" in globalThis
  ? () => (globalThis as unknown as { Bun: { gc(force: boolean): void } }).Bun.gc(true)
  : collectorOfV8();

function collectorOfV8(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** How many of these are still referred to from somewhere. */
export async function alive(references: readonly WeakRef<object>[]): Promise<number> {
  // A reference that was looked at lives until the turn ends.
  await pause(1);
  collect();
  return references.filter((reference) => reference.deref() !== undefined).length;
}
