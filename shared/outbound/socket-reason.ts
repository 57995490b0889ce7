// Why a call brought no answer, in words that its subscriber may read (WIRE §5). They say no more than the socket said.

import { AnswerError } from "./answer-head.ts";
import { ForbiddenAddressError } from "./guard.ts";
import { parserReason } from "./parser-reason.ts";

/**
 * Also of an address that the guard refused: it reads like a name without an address, so how names resolve inside this network is
 * not told (WIRE §7).
 */
export const NO_ADDRESS = "no address to call";

/** A short phrase without addresses. */
export function socketReason(error: Error): string {
  const code = (error as { readonly code?: string }).code;
  switch (code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return "connection broken";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return NO_ADDRESS;
    case "UND_ERR_CONNECT_TIMEOUT":
      return "connecting timed out";
    default:
      if (error instanceof ForbiddenAddressError) return NO_ADDRESS;
      if (error instanceof AnswerError) return error.message;
      return parserReason({ code, message: error.message }) ?? code ??
        (ADDRESS.test(error.message.slice(0, 300)) ? "connection broken" : error.message.slice(0, 200));
  }
}

/** A message may name the address that was dialled. More of it is looked at than is shown, so that no part of an address is. */
const ADDRESS = /\d\.\d+\.\d+\.\d|:[\da-f]*:/i;
