// The demo's publisher: it sends one document after the other, each until the hub answers 2xx.

import { createHash } from "node:crypto";
import { pause } from "../support/eventually.ts";
import type { Fixture } from "../support/fixtures.ts";
import { publish } from "../support/hub/hub-client.ts";
import type { HubUnderTest } from "../support/hub/hub.ts";
import type { Published } from "./promises.ts";

const GIVE_UP_MS = 30_000;

export interface Publication extends Published {
  /** How often the hub answered 503 or the connection was lost before the 2xx. */
  readonly retries: number;
}

/** Publishes one document until a 2xx. @throws {Error} for an answer that is neither 2xx nor 503, or after 30 s */
export async function publishUntilAccepted(hub: HubUnderTest, topic: string, document: Fixture): Promise<Publication> {
  const until = performance.now() + GIVE_UP_MS;
  for (let retries = 0;; retries += 1) {
    const reply = await publish(hub, topic, document).catch((error: Error) => error);
    if (!(reply instanceof Error) && reply.status === 200) {
      const sha256 = createHash("sha256").update(document.body).digest("hex");
      return { id: String(reply.headers["webhook-id"]), sha256, retries };
    }
    const said = reply instanceof Error ? reply.message : `${reply.status} ${reply.text}`;
    if (!(reply instanceof Error) && reply.status !== 503) {
      throw new Error(`Publishing ${document.file} was answered ${said}`);
    }
    if (performance.now() > until) throw new Error(`Publishing ${document.file} was not accepted in time: ${said}`);
    await pause(200);
  }
}
