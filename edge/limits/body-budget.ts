// Bounds the bytes of request bodies that the edge holds at once: configuration bounds memory, not the number of peers that
// send (ARCHITECTURE §6.7).

import { HubError } from "../answers/hub-error.ts";

export interface BodyBudget {
  /**
   * Reserves room for a request's body: its Content-Length, or `maxBytes` if it has none. The result gives the room back.
   * @throws {HubError} "overloaded"
   */
  reserve(request: Request, maxBytes: number): () => void;
}

/** Counts bodies that are longer than `uncountedBytes`. */
export function createBodyBudget(totalBytes: number, uncountedBytes: number): BodyBudget {
  let reserved = 0;
  const nothing = () => {};
  return {
    reserve: (request, maxBytes) => {
      const declared = request.headers.get("content-length");
      const bytes = Math.min(maxBytes, declared === null ? maxBytes : Number(declared));
      if (!(bytes > uncountedBytes)) return nothing;
      if (reserved + bytes > totalBytes) {
        throw new HubError("overloaded", "Too many long request bodies at once; send it again a little later.");
      }
      reserved += bytes;
      return () => {
        reserved -= bytes;
      };
    },
  };
}
