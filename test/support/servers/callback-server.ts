// A subscriber under test control: as many callbacks as a test wants on one server. Each records its requests and has its own
// answers.

import { answer, echo } from "./answers.ts";
import { eventually } from "../eventually.ts";
import { parameterOf } from "../form.ts";
import { openRecordingServer } from "./recording-server.ts";
import type { Recorded, Responder } from "./recording-server.ts";

export interface Callback {
  /** The URL that the subscriber gives the hub, with its query. */
  readonly url: string;
  /** Every GET with a hub.mode of subscribe or unsubscribe, in order of arrival. */
  readonly challenges: readonly Recorded[];
  /** Every GET that says hub.mode=denied. */
  readonly denials: readonly Recorded[];
  /** Every POST. */
  readonly deliveries: readonly Recorded[];
  /** Every request of any kind. */
  readonly requests: readonly Recorded[];
  /** How it answers a challenge; default a plain echo. */
  onChallenge: Responder;
  /** How it answers a delivery; default 204. */
  onDelivery: Responder;
  /** Resolves with the nth challenge (from 1) once it has been answered. */
  challenged(nth?: number, deadlineMs?: number): Promise<Recorded>;
  /** Resolves with the first n deliveries once they are there. */
  delivered(n: number, deadlineMs?: number): Promise<readonly Recorded[]>;
  /** Resolves with the first denied notice once it is there. */
  denied(deadlineMs?: number): Promise<Recorded>;
}

export interface CallbackServer {
  readonly origin: string;
  readonly port: number;
  /** A new callback. `path` (raw, default a unique one) and `query` (raw) are kept as given. */
  callback(options?: { readonly path?: string; readonly query?: string }): Callback;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a callback server on 127.0.0.1, or on another address of the loopback; port 0 takes a free one. */
export async function openCallbackServer(port = 0, host = "127.0.0.1"): Promise<CallbackServer> {
  const server = await openRecordingServer(port, host);
  let count = 0;
  return {
    origin: server.origin,
    port: server.port,
    callback: ({ path = `/callback/${count += 1}`, query } = {}) => {
      const callback = createCallback(`${server.origin}${path}${query === undefined ? "" : `?${query}`}`);
      server.route(path, callback.handle);
      return callback;
    },
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

function createCallback(url: string): Callback & { readonly handle: Responder } {
  const requests: Recorded[] = [];
  const modeOf = (request: Recorded) => request.method === "GET" ? parameterOf(request.query, "hub.mode") : undefined;
  const seen = () =>
    requests.map((request) => `${request.method} ${modeOf(request) ?? ""} → ${request.status}`).join(", ");
  const callback: Callback & { readonly handle: Responder } = {
    url,
    requests,
    get challenges() {
      return requests.filter((request) => ["subscribe", "unsubscribe"].includes(modeOf(request) ?? ""));
    },
    get denials() {
      return requests.filter((request) => modeOf(request) === "denied");
    },
    get deliveries() {
      return requests.filter((request) => request.method === "POST");
    },
    onChallenge: echo(),
    onDelivery: answer(204),
    challenged: (nth = 1, deadlineMs = 10_000) =>
      eventually(`challenge ${nth} at ${url}`, () => {
        const challenge = callback.challenges[nth - 1];
        return challenge?.endedAt !== undefined && challenge;
      }, { deadlineMs, seen }),
    delivered: (n, deadlineMs = 10_000) =>
      eventually(`${n} deliveries at ${url}`, () => {
        const deliveries = callback.deliveries;
        return deliveries.length >= n && deliveries.slice(0, n);
      }, { deadlineMs, seen }),
    denied: (deadlineMs = 10_000) =>
      eventually(`a denied notice at ${url}`, () => callback.denials[0], { deadlineMs, seen }),
    handle: (request, response) => {
      requests.push(request);
      const mode = modeOf(request);
      if (mode === "denied") return answer(200)(request, response);
      if (mode !== undefined) return callback.onChallenge(request, response);
      if (request.method === "POST") return callback.onDelivery(request, response);
      return answer(404)(request, response);
    },
  };
  return callback;
}
