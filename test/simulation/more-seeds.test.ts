// The second half of CI's 120 seeds, in a file of its own so that both halves run at the same time.
import { describe, it } from "node:test";
import { holdsFor } from "./seeds.ts";

describe("cores under simulated time, brokers and faults, again", () => {
  it("§6.1 to §6.6 hold in 60 more seeds", () => holdsFor(61, 120));
});
