// What the server itself refuses, each with a sentence (WIRE §1): requests that the runtime's parser or its timeouts refuse, and those
// that one runtime's parser lets through and another's does not.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { endAfterAnswer, endLingering } from "./linger.ts";
import { pipelineOf } from "./pipeline.ts";
import type { ServeOptions } from "../serve.ts";

/** The headers of one request. The runtimes stop at 200, at 1,000, or not at all; an honest client sends 30. */
export const MOST_HEADERS = 100;

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
};

/** `isLast`: nothing after it on its connection is read as a request. */
type Refusal = readonly [status: number, sentence: string, isLast?: "last"];
type Limits = Pick<ServeOptions, "maxHeaderBytes" | "onRefused">;

/** Answers a request that no handler may see. False if there is nothing to refuse. */
export function refuseRequest(incoming: IncomingMessage, outgoing: ServerResponse, limits: Limits): boolean {
  const refusal = wrongOf(incoming, limits);
  if (refusal === undefined) return false;
  if (refusal[0] === 431) limits.onRefused?.("headers");
  answer(incoming, outgoing, refusal);
  return true;
}

function wrongOf(incoming: IncomingMessage, limits: Limits): Refusal | undefined {
  const { httpVersion, headers, rawHeaders } = incoming;
  if (rawHeaders.length > 2 * MOST_HEADERS) return tooLong(limits);
  if (httpVersion !== "1.1" && httpVersion !== "1.0") {
    return [400, `The request is not valid HTTP/1.1 (version ${httpVersion}).`];
  }
  if (headers.host === undefined && httpVersion === "1.1") {
    return [400, "The Host header is missing; HTTP/1.1 requires one."];
  }
  // RFC 9112 §3.2.
  if (hasTwice(rawHeaders, "host")) return [400, "The request is not valid HTTP/1.1 (several Host headers)."];
  const target = wrongTargetOf(incoming.url ?? "");
  if (target !== undefined) return [400, target];
  const framing = wrongFramingOf(incoming);
  if (framing !== undefined) return framing;
  // RFC 9110 §10.1.1.
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue") {
    return [417, "The only expectation that this server meets is 100-continue."];
  }
  return undefined;
}

/**
 * What is wrong with a request target that a parser of URLs would read in another way than its sender, or a gateway in front (RFC 9112
 * §3.2, RFC 9110 §4.2). Handlers refuse whatever else is no target.
 */
function wrongTargetOf(target: string): string | undefined {
  if (target.includes("#")) return "The request target has a fragment (#); a client keeps that to itself.";
  if (target.startsWith("/")) return undefined;
  const authority = /^https?:\/\/([^/?]*)/i.exec(target)?.[1];
  if (authority === "") return "The request target names no host after http://.";
  if (authority?.includes("@")) return "The request target names a user before its host; send it without.";
  if (authority?.includes("\\")) return "The request target has a backslash in its host.";
  return undefined;
}

const CODINGS: Refusal = [501, "The only Transfer-Encoding that this server takes is chunked, once.", "last"];
const OLD_CODING: Refusal = [501, "HTTP/1.0 has no Transfer-Encoding; send the body with a Content-Length.", "last"];
const NO_LENGTH: Refusal = [
  411,
  "The request must say how long its body is: send a Content-Length, 0 if there is no body.",
  "last",
];
/** What no header may have (RFC 9110 §5.5). */
const CONTROL = /[^\t\x20-\xff]/;
const MAY_HAVE_NO_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "DELETE"]);

/**
 * A request whose end is elsewhere for an intermediary (RFC 9112 §6.1, §6.3), or that its own client means to end with the connection.
 * Nothing after it is read as a request. Some parsers let these through.
 */
function wrongFramingOf({ method = "", httpVersion, headers, rawHeaders }: IncomingMessage): Refusal | undefined {
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  if (length !== undefined && hasTwice(rawHeaders, "content-length")) {
    return [400, "The request is not valid HTTP/1.1 (several Content-Length headers).", "last"];
  }
  if (length !== undefined && encoding !== undefined) {
    return [400, "The request is not valid HTTP/1.1 (both Content-Length and Transfer-Encoding).", "last"];
  }
  if (encoding !== undefined) {
    if (CONTROL.test(encoding)) {
      return [400, "The request is not valid HTTP/1.1 (a control character in Transfer-Encoding).", "last"];
    }
    if (encoding.toLowerCase() !== "chunked" || hasTwice(rawHeaders, "transfer-encoding")) return CODINGS;
    return httpVersion === "1.0" ? OLD_CODING : undefined;
  }
  if (length !== undefined || MAY_HAVE_NO_BODY.has(method)) return undefined;
  // HTTP/1.1 takes it for a request without a body (RFC 9112 §6.3). One that has a type has a body all the same: the request would be carried
  // out without it, and its body be refused as the next request.
  return httpVersion === "1.0" || headers["content-type"] !== undefined ? NO_LENGTH : undefined;
}

/** `rawHeaders` are names and values in turn. */
function hasTwice(rawHeaders: readonly string[], name: string): boolean {
  let times = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.length === name.length && rawHeaders[at]!.toLowerCase() === name) times++;
  }
  return times > 1;
}

function answer({ socket }: IncomingMessage, outgoing: ServerResponse, [status, sentence, isLast]: Refusal): void {
  const body = `${sentence}\n`;
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(body) };
  if (isLast === undefined) {
    outgoing.writeHead(status, headers);
    outgoing.end(body);
    return;
  }
  pipelineOf(socket).end();
  outgoing.writeHead(status, { ...headers, connection: "close" });
  endAfterAnswer(socket, outgoing, body);
}

/** Answers what the runtime's parser or its timeouts refuse. The handler has not seen the request, or its answer no longer matters. */
export function refuse(error: NodeJS.ErrnoException, socket: Socket, limits: Limits): void {
  if (error.code === "HPE_HEADER_OVERFLOW") limits.onRefused?.("headers");
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") limits.onRefused?.("deadline");
  // A failed handshake cannot be answered in HTTP. One that took too long has no code on Deno.
  const isHandshake = error.code === undefined || /^(?:ERR_SSL_|ERR_TLS_|EPROTO)/.test(error.code);
  const { latest, isOver } = pipelineOf(socket);
  // The last answer is on its way, and what comes after its request is not looked at.
  if (isOver && error.code !== "ECONNRESET") return;
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
    case "HPE_INVALID_TRANSFER_ENCODING":
    case "HPE_ERROR":
      return hasOtherCoding(error) ? CODINGS : [400, `The request is not valid HTTP/1.1 (${error.code}).`];
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return [413, "The chunk extensions of the request body are too long; send none."];
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, "The request was not complete in time; send its headers and its whole body without pause."];
    default:
      return [400, `The request is not valid HTTP/1.1 (${error.code}).`];
  }
}

/** Whether what the parser refused has a Transfer-Encoding other than `chunked`, and no length beside it. The parsers' codes differ. */
function hasOtherCoding({ rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array }): boolean {
  const [head = ""] = Buffer.from(rawPacket ?? []).toString("latin1").split("\r\n\r\n", 1);
  // In two linear steps: a pattern that trims a line takes the square of its length, and anyone can send 16 KB of spaces.
  const codings = Array.from(head.matchAll(/^transfer-encoding:(.*)$/gim), ([, coding = ""]) => {
    return coding.replace(/[ \t]+/g, " ").replace(/^ | $/g, "");
  });
  if (codings.length === 0 || /^content-length[ \t]*:/im.test(head)) return false;
  return !CONTROL.test(codings.join()) && codings.join().toLowerCase() !== "chunked";
}

function tooLong({ maxHeaderBytes = 16_384 }: Limits): Refusal {
  const limit = `${maxHeaderBytes} bytes, and at most ${MOST_HEADERS} headers`;
  return [431, `The request line and headers together must be at most ${limit}.`];
}
