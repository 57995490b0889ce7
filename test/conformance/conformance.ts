// All black-box rows for the hub of a rig. Rows run at the same time; the slow ones start first.

import { after, describe } from "node:test";
import { deliveringRows } from "./delivering.ts";
import { legacyRows } from "./legacy.ts";
import { publishingRows } from "./publishing.ts";
import { requestRows } from "./requests.ts";
import type { Rig } from "./rig.ts";
import { signingRows } from "./signing.ts";
import { subscriptionRows } from "./subscriptions.ts";
import { verifyingRows } from "./verifying.ts";
import { wireDeliveryRows } from "./wire-delivery.ts";
import { endpointRows } from "./wire-endpoint.ts";
import { failedRows } from "./wire-failed.ts";
import { lifecycleRows } from "./wire-lifecycle.ts";
import { missedRows } from "./wire-missed.ts";
import { movingRows } from "./wire-moving.ts";
import { replayRows } from "./wire-replay.ts";
import { wirePublishingRows } from "./wire-publishing.ts";
import { retryingRows } from "./wire-retrying.ts";

/** Declares every row of CONFORMANCE.md and of WIRE.md 1–5 for this rig, and closes it after the last. */
export function conformance(name: string, rig: Rig): void {
  describe(name, { concurrency: 16 }, () => {
    after(() => rig.close());
    missedRows(rig);
    movingRows(rig);
    replayRows(rig);
    failedRows(rig);
    verifyingRows(rig);
    retryingRows(rig);
    lifecycleRows(rig);
    deliveringRows(rig);
    subscriptionRows(rig);
    signingRows(rig);
    publishingRows(rig);
    requestRows(rig);
    legacyRows(rig);
    endpointRows(rig);
    wirePublishingRows(rig);
    wireDeliveryRows(rig);
  });
}
