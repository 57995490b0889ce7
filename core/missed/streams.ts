// How many streams of events there are: each holds a connection of an edge and some memory (ARCHITECTURE §6.7).
import { Refusal } from "../requests/refusal.ts";

/** Of this process. */
const MOST = 1_000;
/** Of one subscription: a reader that comes back may find its old stream not yet given up. */
const MOST_OF_ONE = 8;

export interface Streams {
  readonly open: number;
  /** Counts a stream of a subscription; the result counts it off. @throws {Refusal} "overloaded", "too_many" */
  enter(subscriptionId: string): () => void;
}

export function createStreams(most = MOST, mostOfOne = MOST_OF_ONE): Streams {
  const counts = new Map<string, number>();
  let open = 0;
  return {
    get open() {
      return open;
    },
    enter(id) {
      if (open >= most) {
        throw new Refusal(
          "overloaded",
          "The hub has as many event streams as it takes; ask again later, or without Accept",
        );
      }
      const count = counts.get(id) ?? 0;
      if (count >= mostOfOne) {
        throw new Refusal("too_many", `This subscription has ${mostOfOne} event streams already; close one first`);
      }
      counts.set(id, count + 1);
      open++;
      return () => {
        open--;
        const left = counts.get(id)! - 1;
        if (left === 0) counts.delete(id);
        else counts.set(id, left);
      };
    },
  };
}
