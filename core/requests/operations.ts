// What an edge asks of the core: each operation becomes durable events, and is answered only then (WIRE §1, §2). Each verb has
// its own file.
import type { Operation, OperationAnswer } from "../../shared/core-api.ts";
import { createDeregister, type DeregisterOptions } from "./deregister.ts";
import { createIntent, type IntentOptions } from "./intent.ts";
import { refuseStale } from "./parse-operation.ts";
import { createPing, type PingOptions } from "./ping.ts";
import { createRegister, type RegisterOptions } from "./register.ts";
import { createResults, type ResultOptions, type Results } from "./result.ts";

export type OperationsOptions =
  & RegisterOptions
  & DeregisterOptions
  & IntentOptions
  & ResultOptions
  & PingOptions;

export interface Operations {
  /** @throws {Refusal | LogError} */
  perform(operation: Operation): Promise<OperationAnswer>;
  readonly resultOf: Results["eventOf"];
}

export function createOperations(options: OperationsOptions): Operations {
  const register = createRegister(options);
  const deregister = createDeregister(options);
  const intent = createIntent(options);
  const results = createResults(options);
  const ping = createPing(options);
  return {
    resultOf: results.eventOf,
    async perform(operation) {
      refuseStale(operation, options.clock());
      switch (operation.kind) {
        case "intent":
          return await intent(operation);
        case "register":
          await register(operation);
          break;
        case "deregister":
          await deregister(operation);
          break;
        case "result":
          await results.append(operation);
          break;
        case "ping":
          await ping(operation);
          break;
      }
      return { kind: "done" };
    },
  };
}
