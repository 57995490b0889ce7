// After a rotation of keys, what was sealed to an older one is sealed to the first, by the shard's owner, in its transaction
// (ARCHITECTURE §5). Slowly: it never hurries, and deliveries must not feel it.
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { ShardRecords } from "./folded-state.ts";

export interface ResealingOptions {
  readonly records: ShardRecords;
  readonly secrets: Pick<Secrets, "isCurrent" | "reseal">;
  /** Runs what was found out in the next step of the shard's loop. */
  readonly find: (finding: () => void) => void;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** In one step, of which there is one a second and shard: looked at, and sealed anew (0.6 ms each). */
const MOST_LOOKED_AT = 1_000;
const MOST_SEALED = 10;
/** An edge that has not heard of the newest key yet may still bring what is sealed to an older one. */
const AGAIN_AFTER_MS = 600_000;

export class Resealing {
  readonly #options: ResealingOptions;
  #walk: Iterator<string> | undefined;
  #restUntil = 0;
  #running = false;

  constructor(options: ResealingOptions) {
    this.#options = options;
  }

  step(): void {
    const { records, secrets, clock } = this.#options;
    if (this.#running || clock() < this.#restUntil) return;
    this.#walk ??= records.subscriptions.keys();
    const old: string[] = [];
    for (let looked = 0; looked < MOST_LOOKED_AT && old.length < MOST_SEALED; looked++) {
      const { done, value: id } = this.#walk.next();
      if (done) {
        this.#walk = undefined;
        this.#restUntil = clock() + AGAIN_AFTER_MS;
        break;
      }
      const secret = records.subscriptions.get(id)?.secret;
      if (secret !== undefined && !secrets.isCurrent(secret)) old.push(id);
    }
    if (old.length === 0) return;
    this.#running = true;
    void this.#reseal(old).finally(() => this.#running = false);
  }

  async #reseal(ids: readonly string[]): Promise<void> {
    const { records, secrets, find } = this.#options;
    for (const id of ids) {
      const sealed = records.subscriptions.get(id)?.secret;
      if (sealed === undefined) continue;
      try {
        const fresh = await secrets.reseal(sealed, id);
        find(() => {
          const record = records.subscriptions.get(id);
          // A renewal meanwhile brought another one.
          if (record?.secret === sealed) records.setSubscription(id, { ...record, secret: fresh });
        });
      } catch (error) {
        // Said and counted where it was to be opened; the lane says it, too.
        if (!(error instanceof SecretError)) throw error;
      }
    }
  }
}
