// An answer of the core that goes on to the client as it comes, at the client's pace.

import type { HttpStream } from "../../shared/http-client.ts";
import { createPacedBody } from "../../shared/paced-body.ts";
import { UNSTORED } from "../answers/answers.ts";
import type { OpenStreams } from "./open-streams.ts";

export interface Patience {
  /** A reader that takes nothing for so long is given up, ms. Default 30 s. */
  readonly stallMs?: number;
  /** A core that says nothing for so long is given up, ms. Default three of its heartbeats, 45 s. */
  readonly silenceMs?: number;
}

export interface PassOnOptions extends Patience {
  readonly request: Request;
  readonly breakOff: (() => void) | undefined;
  /** The answer is among these while it goes on. */
  readonly streams: OpenStreams;
  /** See shared/paced-body.ts. */
  readonly cutShort: "ends" | "breaks";
  /** Ends the answer early. */
  readonly ends?: AbortController;
  readonly onEnd?: () => void;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The client's answer; HEAD gets it without the body. */
export async function passOn(
  { contentType, body }: Pick<HttpStream, "contentType" | "body">,
  { request, streams, ends = new AbortController(), onEnd, headers, ...options }: PassOnOptions,
): Promise<Response> {
  const { stallMs = 30_000, silenceMs = 45_000, cutShort, breakOff } = options;
  const head = { "content-type": contentType, ...UNSTORED, ...headers };
  if (request.method === "HEAD") {
    await body.cancel();
    return new Response(null, { headers: head });
  }
  streams.add(ends);
  const paced = createPacedBody((signal) => partsOf(body, signal), {
    stallMs,
    silenceMs,
    cutShort,
    breakOff,
    signal: ends.signal,
    onEnd: () => {
      onEnd?.();
      streams.remove(ends);
    },
  });
  return new Response(paced, { headers: head });
}

async function* partsOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = body.getReader();
  // Cancels at once, also while the reader waits: a client that has left ends the core's answer too.
  const leave = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", leave);
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}
