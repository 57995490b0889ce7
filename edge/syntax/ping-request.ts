// A ping, read from its parameters (WIRE §1): every `hub.topic` and `hub.url` names a topic that has changed.

import { identityOf, isHttpUrl } from "../../shared/identity.ts";
import { topicProblem } from "../../shared/topic.ts";
import { HubError, quoted } from "../answers/hub-error.ts";
import type { Parameters } from "./form.ts";

export interface PingRequest {
  readonly kind: "ping";
  /** Topics that can be fetched, each once, whatever its spellings. */
  readonly topics: readonly string[];
  /** Asked in form style, answered 204; else 200. */
  readonly quiet: boolean;
  /** The sentence of the 400 that follows the pings of `topics`; absent if all that was named can be fetched. */
  readonly wrong?: string;
}

interface Wrong {
  readonly name: string;
  readonly value: string;
  /** Words that follow the parameter's name. */
  readonly problem: string;
}

/** The sentence names so many; a client may send hundreds. */
const MOST_NAMED = 3;

/** @throws {HubError} "invalid_request" if none of what is named can be fetched */
export function parsePing(parameters: Parameters, quiet: boolean): PingRequest {
  const topics = new Map<string, string>();
  const wrong: Wrong[] = [];
  for (const name of ["hub.topic", "hub.url"]) {
    for (const value of parameters.all(name)) {
      const problem = problemOf(value);
      if (problem !== undefined) wrong.push({ name, value, problem });
      else {
        const identity = identityOf(value);
        if (!topics.has(identity)) topics.set(identity, value);
      }
    }
  }
  const [first] = wrong;
  const ping = { kind: "ping", topics: [...topics.values()], quiet } as const;
  if (first === undefined) return ping;
  if (ping.topics.length > 0) return { ...ping, wrong: `Not pinged: ${listOf(wrong)}; all others were.` };
  const sentence = wrong.length === 1 ? `${first.name} ${first.problem}` : `Not pinged: ${listOf(wrong)}`;
  throw new HubError("invalid_request", `${sentence}.`);
}

function problemOf(value: string): string | undefined {
  if (value === "" || isHttpUrl(value)) return topicProblem(value);
  return "must be an http or https URL; to publish content, send hub.mode and hub.topic in the query";
}

function listOf(wrong: readonly Wrong[]): string {
  const named = wrong.slice(0, MOST_NAMED).map(({ name, value, problem }) => `${name} ${quoted(value)} (${problem})`);
  const more = wrong.length - named.length;
  return named.join(", ") + (more === 0 ? "" : ` and ${more} more`);
}
