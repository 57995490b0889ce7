// The bodies that the edge reads: in fair shares of its memory, and no more slowly than a bad mobile line is (WIRE §1).

import { type BodyBudget, createBodyBudget } from "../../shared/shares/body-budget.ts";
import {
  type BodyLimits,
  BodyTooLargeError,
  BodyTooSlowError,
  NoBodyRoomError,
  readBody,
} from "../../shared/request-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import { lostAfter } from "../../shared/shares/fair-shares.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { HubError } from "../answers/hub-error.ts";
import { FORM_MAX_BYTES } from "../syntax/form.ts";
import type { MemoryBounds } from "./memory.ts";

export interface BodyWish {
  readonly maxBytes: number;
  /** Whose share of the memory it takes. */
  readonly claim: () => Claim;
}

export interface Bodies {
  /**
   * Refuses a body that says it is too long. Reads nothing, so that this may stand before all else.
   * @throws {BodyTooLargeError}
   */
  check(request: Request, maxBytes: number): void;
  /**
   * Reads a body, and does something with it; its memory is its requester's until that is done.
   * @throws {BodyTooLargeError}; {HubError} "too_slow", "overloaded", "invalid_request": the client broke off; and what `use` throws
   */
  read<T>(request: Request, exchange: Exchange, wish: BodyWish, use: (body: Uint8Array) => Promise<T>): Promise<T>;
}

export interface BodiesOptions {
  readonly memory: Pick<MemoryBounds, "bodiesBytes" | "uncountedBytes" | "lostAfterMs">;
  readonly messageMaxBytes: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Counts a body that was refused. */
  readonly count: (limit: "bodies" | "pace") => void;
  readonly patience?: BodyPatience | undefined;
}

/** How slowly a body may come, and how long one waits for room. */
export type BodyPatience = Pick<BodyLimits, "pace" | "roomWithinMs">;

export function createBodies({ memory, messageMaxBytes, now, count, patience }: BodiesOptions): Bodies {
  const { bodiesBytes, uncountedBytes, lostAfterMs } = memory;
  const budget: BodyBudget = createBodyBudget({
    most: Math.max(bodiesBytes, 4 * Math.max(messageMaxBytes, FORM_MAX_BYTES)),
    uncountedBytes,
    lost: lostAfter(lostAfterMs, now),
  });

  // workerd may hold back the answer to a body that was read in part while its client still sends: on a Worker a body has all its room before
  // it is read, and does not wait for it.
  const waiting = lostAfterMs === Infinity ? {} : { roomWithinMs: 0, asDeclared: true };

  function refusalOf(error: unknown): unknown {
    if (error instanceof BodyTooLargeError) return error;
    if (error instanceof BodyTooSlowError) {
      count("pace");
      return new HubError("too_slow", "The request body came too slowly; send at least 1 KiB a second.");
    }
    if (error instanceof NoBodyRoomError) {
      count("bodies");
      return new HubError("overloaded", "Too many long request bodies at once; send it again a little later.");
    }
    // The client went away or broke off; if it still listens, this tells it so.
    return new HubError("invalid_request", "The request body ended before it was complete.", { cause: error });
  }

  return {
    check: ({ headers }, maxBytes) => {
      const declared = headers.get("content-length");
      if (declared !== null && !(Number(declared) <= maxBytes)) throw new BodyTooLargeError(maxBytes);
    },
    read: async (request, { flow }, { maxBytes, claim }, use) => {
      const room = budget.open(claim);
      try {
        const body = await readBody(request, { ...waiting, ...patience, maxBytes, room, flow }).catch(
          (error: unknown) => {
            throw refusalOf(error);
          },
        );
        room.settle();
        return await use(body);
      } finally {
        room.release();
      }
    },
  };
}
