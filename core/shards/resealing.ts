// After a rotation of keys the shard's owner seals the secrets that are sealed to an older key to the first one, in its transactions
// (ARCHITECTURE §5): slowly, so that deliveries do not feel it.
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { Findings } from "./findings.ts";
import type { FoldedState } from "./folded-state.ts";

export interface ResealingOptions {
  readonly state: FoldedState;
  readonly secrets: Pick<Secrets, "isCurrent" | "reseal">;
  /** Gets the secrets that were sealed anew. */
  readonly findings: Findings;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Subscriptions looked at, and secrets sealed anew (0.6 ms each), in one step. A shard makes one step a second. */
const MOST_LOOKED_AT = 1_000;
const MOST_SEALED = 10;
/** An edge that has not heard of the newest key may still bring secrets that are sealed to an older one. */
const AGAIN_AFTER_MS = 600_000;

export class Resealing {
  readonly #options: ResealingOptions;
  #walk: Iterator<string> | undefined;
  #restUntil = 0;
  #isRunning = false;

  constructor(options: ResealingOptions) {
    this.#options = options;
  }

  step(): void {
    const { state, secrets, clock } = this.#options;
    if (this.#isRunning || clock() < this.#restUntil) return;
    this.#walk ??= state.subscriptions.keys();
    const old: string[] = [];
    for (let looked = 0; looked < MOST_LOOKED_AT && old.length < MOST_SEALED; looked++) {
      const { done, value: id } = this.#walk.next();
      if (done) {
        this.#walk = undefined;
        this.#restUntil = clock() + AGAIN_AFTER_MS;
        break;
      }
      const secret = state.subscriptions.get(id)?.secret;
      if (secret !== undefined && !secrets.isCurrent(secret)) old.push(id);
    }
    if (old.length === 0) return;
    this.#isRunning = true;
    void this.#reseal(old).finally(() => this.#isRunning = false);
  }

  async #reseal(ids: readonly string[]): Promise<void> {
    const { state, secrets, findings } = this.#options;
    for (const id of ids) {
      const before = state.subscriptions.get(id)?.secret;
      if (before === undefined) continue;
      try {
        findings.add({ kind: "resealed", id, before, after: await secrets.reseal(before, id) });
      } catch (error) {
        // `secrets` has counted and logged that the secret cannot be opened.
        if (!(error instanceof SecretError)) throw error;
      }
    }
  }
}
