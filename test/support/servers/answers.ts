// Answers of scripted servers, good and bad.

import { parameterOf } from "../form.ts";
import { pause } from "../eventually.ts";
import type { Responder } from "./recording-server.ts";

/** A plain answer. A 204 or 304 has no body. */
export function answer(
  status: number,
  body: string | Uint8Array = "",
  headers: Readonly<Record<string, string>> = {},
): Responder {
  return (_request, response) => {
    response.writeHead(status, headers);
    response.end(status === 204 || status === 304 ? undefined : body);
  };
}

/** Confirms a verification with the challenge, byte for byte, or with what `alter` makes of it. */
export function echo(
  { status = 200, contentType, alter = (challenge) => challenge }: {
    readonly status?: number;
    readonly contentType?: string;
    readonly alter?: (challenge: string) => string;
  } = {},
): Responder {
  return (request, response) => {
    const challenge = parameterOf(request.query, "hub.challenge") ?? "";
    response.writeHead(status, contentType === undefined ? {} : { "content-type": contentType });
    response.end(status === 204 ? undefined : alter(challenge));
  };
}

/** Takes the request and never answers. The connection ends with the server or the caller. */
export function hang(): Responder {
  return () => {};
}

/** Cuts the connection without an answer. */
export function cut(): Responder {
  return (request, response) => {
    request.endedAt = performance.now();
    response.destroy();
  };
}

/** Writes an answer byte for byte, and closes the connection. `text` is given the challenge, or "". */
export function written(text: (challenge: string) => string): Responder {
  return (request, response) => {
    request.endedAt = performance.now();
    response.socket?.end(Buffer.from(text(parameterOf(request.query, "hub.challenge") ?? ""), "latin1"));
  };
}

/** Waits, then answers. */
export function after(ms: number, then: Responder): Responder {
  return async (request, response) => {
    await pause(ms);
    await then(request, response);
  };
}

/** A success with an endless body, until the caller hangs up. */
export function endless(): Responder {
  return (_request, response) => {
    const block = Buffer.alloc(16_384, "x");
    response.writeHead(200, { "content-type": "text/plain" });
    const write = () => {
      while (!response.destroyed && response.write(block));
    };
    response.on("drain", write);
    write();
  };
}

/** The nth request gets the nth answer; later requests get the last one. */
export function script(...answers: readonly [Responder, ...Responder[]]): Responder {
  let next = 0;
  return (request, response) => {
    const responder = answers[Math.min(next, answers.length - 1)] ?? answers[0];
    next += 1;
    return responder(request, response);
  };
}
