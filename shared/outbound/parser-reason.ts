// What a callback or a topic server sends wrong, by the errors of undici and its parser (llhttp). The faults of a head have their
// sentences in answer-head.ts, which reads it first; these are mostly of chunked bodies and of what follows them.

const NOT_CHUNKED = "the answer says chunked, but a chunk does not end where its size says, with CR LF";
const LENGTH = "the answer's Content-Length is not a number of bytes; send decimal digits alone";
const BEGIN = "the answer does not begin with HTTP/1.1 and a status of three digits";

/** By code: llhttp's of a response, and undici's own. */
const SENTENCES: Readonly<Record<string, string>> = {
  HPE_CR_EXPECTED: NOT_CHUNKED,
  HPE_LF_EXPECTED: NOT_CHUNKED,
  HPE_STRICT: NOT_CHUNKED,
  HPE_INVALID_CHUNK_SIZE:
    "the answer says chunked, but a chunk does not begin with its size, in hexadecimal digits and with CR LF",
  HPE_INVALID_CONSTANT: BEGIN,
  HPE_INVALID_VERSION: BEGIN,
  HPE_INVALID_STATUS: BEGIN,
  HPE_INVALID_CONTENT_LENGTH: LENGTH,
  HPE_UNEXPECTED_CONTENT_LENGTH: "the answer has Content-Length twice, or beside Transfer-Encoding; send one",
  HPE_INVALID_TRANSFER_ENCODING:
    "the answer has a Transfer-Encoding other than chunked; send chunked, or Content-Length alone",
  HPE_INVALID_HEADER_TOKEN: "a header of the answer has a character that no header may have",
  HPE_UNEXPECTED_SPACE: "a header of the answer begins with a space; send each header in one line",
  HPE_INVALID_EOF_STATE: "the answer ended before it was complete",
  HPE_CLOSED_CONNECTION: "the answer goes on after its end, though it says Connection: close",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the answer's body is not as long as its Content-Length says",
  UND_ERR_RES_EXCEEDED_MAX_SIZE: "the answer's body is too long",
  UND_ERR_HEADERS_OVERFLOW: "the answer has more than 64 KiB of headers",
};

/** undici (7.30) leaves the code out: its table has the codes by name, and is asked by number. What llhttp says is in the message. */
const MESSAGE = /^Response does not match the HTTP\/1\.1 protocol \((.*)\)$/s;
const CODES: readonly (readonly [said: RegExp, code: string])[] = [
  [/chunk size/i, "HPE_INVALID_CHUNK_SIZE"],
  [/chunk|CR |LF/i, "HPE_STRICT"],
  [/expected HTTP|dot|version/i, "HPE_INVALID_CONSTANT"],
  [/status/i, "HPE_INVALID_STATUS"],
  [/can't be present|already present/i, "HPE_UNEXPECTED_CONTENT_LENGTH"],
  [/content-length/i, "HPE_INVALID_CONTENT_LENGTH"],
  [/transfer-encoding/i, "HPE_INVALID_TRANSFER_ENCODING"],
  [/whitespace|space/i, "HPE_UNEXPECTED_SPACE"],
  [/header|trailer/i, "HPE_INVALID_HEADER_TOKEN"],
  [/EOF/, "HPE_INVALID_EOF_STATE"],
  [/close/i, "HPE_CLOSED_CONNECTION"],
];

/** The sentence for an error of the parser; undefined if the error is of another kind. */
export function parserReason({ code = "", message }: { readonly code?: string | undefined; readonly message: string }) {
  const known = SENTENCES[code];
  if (known !== undefined) return known;
  const said = MESSAGE.exec(message)?.[1];
  if (said === undefined && !code.startsWith("HPE_")) return undefined;
  const found = CODES.find(([pattern]) => said !== undefined && pattern.test(said))?.[1];
  return found === undefined ? "the answer is not HTTP/1.1 as RFC 9112 has it" : SENTENCES[found];
}
