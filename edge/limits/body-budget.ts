// Bounds the bytes of request bodies that the edge holds at once: configuration bounds memory, not the number of peers that
// send (ARCHITECTURE §6.7).

import { Places, type PlacesOptions } from "../../shared/places.ts";
import { HubError } from "../answers/hub-error.ts";

export interface BodyBudget {
  /**
   * Reserves room for a request's body: its Content-Length, or `maxBytes` if it has none. The result gives the room back.
   * @throws {HubError} "overloaded"
   */
  reserve(request: Request, maxBytes: number): () => void;
}

/** `most`: bytes of all bodies that are longer than `uncountedBytes`. */
export function createBodyBudget(
  { uncountedBytes, ...options }: PlacesOptions & { readonly uncountedBytes: number },
): BodyBudget {
  const room = new Places(options);
  const nothing = () => {};
  return {
    reserve: (request, maxBytes) => {
      const declared = request.headers.get("content-length");
      const bytes = Math.min(maxBytes, declared === null ? maxBytes : Number(declared));
      if (!(bytes > uncountedBytes)) return nothing;
      const giveBack = room.take(bytes);
      if (giveBack !== undefined) return giveBack;
      throw new HubError("overloaded", "Too many long request bodies at once; send it again a little later.");
    },
  };
}
