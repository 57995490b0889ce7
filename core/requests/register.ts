// register: a topic that is to exist (WIRE §1).
import type { RegisterOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import { encodeEvent } from "../state/events.ts";
import type { Quotas } from "./quotas.ts";
import type { Topics } from "./topics.ts";

export interface RegisterOptions {
  readonly log: Pick<Log, "append" | "end">;
  readonly topics: Topics;
  readonly quotas: Quotas;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Resolves when the register is durable. @throws {Refusal} "too_many" @throws {LogError} */
export type Register = (operation: RegisterOperation) => Promise<void>;

export function createRegister({ log, topics, quotas, clock }: RegisterOptions): Register {
  return async ({ id, topic: name, client }) => {
    const topic = topics.identify(name);
    const end = await log.end("messages", topic.partition);
    const owner = client === undefined ? {} : { client };
    await quotas.appendWithin({
      client,
      uses: async () => await topics.live(topic) === undefined ? ["topics"] : [],
      countedIn: "topics",
      append: () => {
        const event = { type: "register", id, time: clock(), topic: name, end, ...owner } as const;
        return log.append("events", { key: topic.id, value: encodeEvent(event) });
      },
    });
  };
}
