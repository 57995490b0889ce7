// GET /websub/sync/failedmessage: what MOSIP's client calls failed content (WIRE §5). It is signed with the subscription's secret, and
// takes no token, whatever ACCESS is.

import { answering, type Endpoint } from "./admission.ts";
import { HubError } from "../answers/hub-error.ts";
import { anonymousAt } from "../../shared/shares/requester.ts";
import { CoreError } from "../core/core-answers.ts";
import type { CoreClient } from "../core/core-client.ts";
import type { Limits } from "../limits/limits.ts";
import { parseFailedContent } from "../syntax/failed-content.ts";
import { rawQueryOf } from "../syntax/form.ts";
import type { OpenStreams } from "./open-streams.ts";
import { passOn, type Patience } from "./pass-on.ts";

export interface FailedContentOptions extends Patience {
  readonly core: Pick<CoreClient, "readFailed">;
  readonly limits: Pick<Limits, "addressOf">;
}

export function createFailedContentEndpoint(options: FailedContentOptions, streams: OpenStreams): Endpoint {
  return answering(async (request, exchange) => {
    const { breakOff } = exchange;
    const { readings, callback, given } = parseFailedContent(rawQueryOf(request.url));
    const signature = request.headers.get("x-subscriber-signature");
    if (signature === null) {
      throw new HubError("unauthorized", "X-Subscriber-Signature is missing; sign the request with the secret.");
    }
    if (!/^[A-Za-z0-9+/]{43}=$/.test(signature)) {
      throw new HubError(
        "unauthorized",
        "X-Subscriber-Signature is not that of a subscription of this topic and callback",
      );
    }
    const requester = await anonymousAt(options.limits.addressOf(request, exchange));
    for (const [nth, { topic, signed }] of readings.entries()) {
      try {
        const caller = { kind: "text", text: signed, signature, ...requester } as const;
        const answer = await options.core.readFailed({ pair: { topic, callback }, caller, given });
        return await passOn(answer, { ...options, request, breakOff, streams, cutShort: "breaks" });
      } catch (error) {
        const isLast = nth === readings.length - 1;
        if (isLast || !(error instanceof CoreError && error.code === "unauthorized")) throw error;
      }
    }
    throw new Error("A query has no reading.");
  });
}
