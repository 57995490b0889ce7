// Just enough of a hub to try a subscriber against: it answers 202, asks for the intent, and posts what a test hands it.

import { openRecordingServer } from "../servers/recording-server.ts";
import type { Recorded } from "../servers/recording-server.ts";
import { decodeForm, encodeForm, parameterOf } from "../form.ts";
import { call } from "../servers/http.ts";
import type { Reply } from "../servers/http.ts";

export interface StandInHub {
  readonly url: string;
  /** The forms that came, as they came. */
  readonly requests: readonly Recorded[];
  /** The answers to its challenges. */
  readonly answers: readonly Reply[];
  /** What it answers instead of 202, and whether it then asks; may be changed at any time. */
  manners: { status: number; text: string; asks: boolean };
  /** Asks a callback for its intent. */
  challenge(callback: string, parameters: Readonly<Record<string, string>>): Promise<Reply>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a stand-in hub on 127.0.0.1. */
export async function openStandInHub(): Promise<StandInHub> {
  const server = await openRecordingServer();
  const requests: Recorded[] = [];
  const answers: Reply[] = [];
  const hub: StandInHub = {
    url: `${server.origin}/hub`,
    requests,
    answers,
    manners: { status: 202, text: "", asks: true },
    challenge: (callback, parameters) =>
      call(`${callback}${callback.includes("?") ? "&" : "?"}${encodeForm(parameters)}`),
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
  server.route("/hub", (request, response) => {
    requests.push(request);
    const { status, text, asks } = hub.manners;
    response.writeHead(status, { "content-type": "text/plain" }).end(text);
    if (status !== 202 || !asks) return;
    const form = request.body.toString("utf8");
    const names = new Map(decodeForm(form));
    const challenge = {
      "hub.mode": names.get("hub.mode") ?? "",
      "hub.topic": names.get("hub.topic") ?? "",
      "hub.challenge": `challenge-${requests.length}`,
      "hub.lease_seconds": names.get("hub.lease_seconds") ?? "864000",
    };
    hub.challenge(parameterOf(form, "hub.callback") ?? "", challenge).then(
      (reply) => void answers.push(reply),
      // The subscriber may be gone already; the test knows that.
      () => {},
    );
  });
  return hub;
}
