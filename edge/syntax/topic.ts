// A topic as a request's parameter (WIRE "Words").

import { topicProblem } from "../../shared/topic.ts";
import { HubError } from "../answers/hub-error.ts";

/**
 * Checks a topic as it was decoded, and yields it unchanged.
 * @throws {HubError} "invalid_request", naming `parameter`
 */
export function parseTopic(parameter: string, value: string | undefined): string {
  const problem = value === undefined ? "is missing; send the topic" : topicProblem(value);
  if (problem !== undefined) throw new HubError("invalid_request", `${parameter} ${problem}.`);
  return value!;
}
