// What the server itself refuses, each with a sentence (WIRE §1): requests that the runtime's parser or its timeouts refuse, and those
// that one runtime's parser lets through and another's does not.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { endLingering } from "./linger.ts";
import { pipelineOf } from "./pipeline.ts";
import type { ServeOptions } from "../serve.ts";

/** The headers of one request. The runtimes stop at 200, at 1,000, or not at all; an honest client sends 30. */
export const MOST_HEADERS = 100;

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
};

/** `isLast`: nothing after it on its connection is read as a request. */
type Refusal = readonly [status: number, sentence: string, isLast?: "last"];
type Limits = Pick<ServeOptions, "maxHeaderBytes" | "onRefused">;

/** Answers a request that no handler may see. False if there is nothing to refuse. */
export function refuseRequest(incoming: IncomingMessage, outgoing: ServerResponse, limits: Limits): boolean {
  const refusal = wrongOf(incoming, limits);
  if (refusal === undefined) return false;
  if (refusal[0] === 431) limits.onRefused?.("headers");
  if (refusal[2] !== undefined) pipelineOf(incoming.socket).end();
  answer(outgoing, refusal);
  return true;
}

function wrongOf({ httpVersion, headers, rawHeaders }: IncomingMessage, limits: Limits): Refusal | undefined {
  if (rawHeaders.length > 2 * MOST_HEADERS) return tooLong(limits);
  if (httpVersion !== "1.1" && httpVersion !== "1.0") {
    return [400, `The request is not valid HTTP/1.1 (version ${httpVersion}).`];
  }
  if (headers.host === undefined && httpVersion === "1.1") {
    return [400, "The Host header is missing; HTTP/1.1 requires one."];
  }
  // RFC 9112 §3.2.
  if (hasTwice(rawHeaders, "host")) return [400, "The request is not valid HTTP/1.1 (several Host headers)."];
  // An intermediary may see the end of this request elsewhere (RFC 9112 §6.1, §6.3), so nothing after it is read as a request. Some
  // parsers let these through.
  if (headers["content-length"] !== undefined && hasTwice(rawHeaders, "content-length")) {
    return [400, "The request is not valid HTTP/1.1 (several Content-Length headers).", "last"];
  }
  const encoding = headers["transfer-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "chunked") {
    return [400, "The request is not valid HTTP/1.1 (its Transfer-Encoding must be chunked).", "last"];
  }
  // RFC 9110 §10.1.1.
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue") {
    return [417, "The only expectation that this server meets is 100-continue."];
  }
  return undefined;
}

/** `rawHeaders` are names and values in turn. */
function hasTwice(rawHeaders: readonly string[], name: string): boolean {
  let times = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.length === name.length && rawHeaders[at]!.toLowerCase() === name) times++;
  }
  return times > 1;
}

function answer(outgoing: ServerResponse, [status, sentence, isLast]: Refusal): void {
  const body = `${sentence}\n`;
  outgoing.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    ...(isLast === undefined ? {} : { connection: "close" }),
  });
  outgoing.end(body);
}

/** Answers what the runtime's parser or its timeouts refuse. The handler has not seen the request, or its answer no longer matters. */
export function refuse(error: NodeJS.ErrnoException, socket: Socket, limits: Limits): void {
  if (error.code === "HPE_HEADER_OVERFLOW") limits.onRefused?.("headers");
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") limits.onRefused?.("deadline");
  // A failed handshake cannot be answered in HTTP. One that took too long has no code on Deno.
  const isHandshake = error.code === undefined || /^(?:ERR_SSL_|ERR_TLS_|EPROTO)/.test(error.code);
  const { latest } = pipelineOf(socket);
  const isWhole = latest?.req.complete === true;
  // The answer to this request is on its way, or the request has it already and its body never ended.
  const begun = latest !== undefined && latest.headersSent && !(latest.writableFinished && isWhole);
  if (error.code === "ECONNRESET" || isHandshake || !socket.writable || (begun && !latest.writableEnded)) {
    socket.destroy();
    return;
  }
  if (begun) {
    if (latest.writableFinished) socket.destroySoon();
    else latest.once("finish", () => socket.destroySoon());
    return;
  }
  const [status, sentence] = refusalOf(error, limits);
  const body = `${sentence}\n`;
  const words = `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
  // The request before this one has its answer first.
  if (isWhole && !latest!.writableFinished) latest!.once("close", () => endLingering(socket, words));
  else endLingering(socket, words);
}

function refusalOf(error: NodeJS.ErrnoException, limits: Limits): Refusal {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return tooLong(limits);
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return [413, "The chunk extensions of the request body are too long; send none."];
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, "The request was not complete in time; send its headers and its whole body without pause."];
    default:
      return [400, `The request is not valid HTTP/1.1 (${error.code}).`];
  }
}

function tooLong({ maxHeaderBytes = 16_384 }: Limits): Refusal {
  const limit = `${maxHeaderBytes} bytes, and at most ${MOST_HEADERS} headers`;
  return [431, `The request line and headers together must be at most ${limit}.`];
}
