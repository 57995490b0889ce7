// The first word with a cluster: what no patience will change (a password, a certificate, TLS where there is none) stops the start
// at once, with a sentence; a broker that is not there yet is waited for by whoever asks next.
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import type { Cluster } from "./cluster.ts";
import { NotAdmitted, TurnedAway } from "./kafka-error.ts";

/** A broker that is just stopping turns clients away, too. */
const TRIES = 10;
const PAUSE_MS = 200;

/** @throws {LogError} "misconfigured" if the brokers do not let us in */
export async function knock(cluster: Cluster, closing: AbortSignal): Promise<void> {
  for (let tries = 1; !closing.aborted; tries++) {
    try {
      return void await cluster.refresh();
    } catch (error) {
      const final = error instanceof NotAdmitted || (error instanceof TurnedAway && tries >= TRIES);
      if (final) {
        throw new LogError("misconfigured", `Cannot open the log on Kafka: ${error.message}`, { cause: error });
      }
      if (!(error instanceof TurnedAway)) return;
      await pause(PAUSE_MS, closing);
    }
  }
}
