// Which client may do what to which topic (POLICY): the table of WIRE §6, a pure function a policy.

import { identityOf, identityOfPrefix } from "../../shared/identity.ts";
import type { Client } from "./client.ts";

/** What a right is asked for. Content and pings are `publish`; reading and moving a subscription is `subscribe`. */
export type Action = "register" | "deregister" | "publish" | "subscribe" | "unsubscribe";

/** What a token lacks: `text` follows "it needs". */
export interface Lack {
  readonly reason: "role" | "scope" | "partner";
  readonly text: string;
}

/** null if the client may. */
export type Policy = (client: Client, action: Action, topic: string) => Lack | null;

export const POLICIES = { scopes, wso2, mosip } as const satisfies Record<string, Policy>;
export type PolicyName = keyof typeof POLICIES;

/** The role that reads and moves every subscription, under any policy. */
export const OPERATE = "websub:operate";

/** `websub:publish` for all topics, `websub:publish:<topic or prefix*>` for some; `websub:subscribe` likewise. */
export function scopes(client: Client, action: Action, topic: string): Lack | null {
  const right = `websub:${isSubscribing(action) ? "subscribe" : "publish"}`;
  if (client.scopes.has(right) || client.roles.has(right) || covers(patternsOf(client, right), topic)) return null;
  return { reason: "scope", text: `the scope or role ${right}, for all topics or for this one` };
}

/** The topics that a client's words name. */
interface TopicPatterns {
  readonly topics: ReadonlySet<string>;
  /** Beginnings of topics. */
  readonly prefixes: ReadonlySet<string>;
  /** The lengths of the beginnings, each once. */
  readonly lengths: readonly number[];
}

/** By client and right: a ping asks about a thousand topics, and a token may have a thousand words. */
const KNOWN = new WeakMap<Client, Map<string, TopicPatterns>>();

function patternsOf(client: Client, right: string): TopicPatterns {
  const ofClient = KNOWN.get(client) ?? new Map<string, TopicPatterns>();
  KNOWN.set(client, ofClient);
  let patterns = ofClient.get(right);
  if (patterns === undefined) ofClient.set(right, patterns = readPatterns(client, `${right}:`));
  return patterns;
}

function readPatterns({ scopes, roles }: Client, start: string): TopicPatterns {
  const topics = new Set<string>();
  const prefixes = new Set<string>();
  for (const word of [...scopes, ...roles]) {
    if (!word.startsWith(start)) continue;
    const pattern = word.slice(start.length);
    if (pattern.endsWith("*")) prefixes.add(identityOfPrefix(pattern.slice(0, -1)));
    else topics.add(identityOf(pattern));
  }
  return { topics, prefixes, lengths: [...new Set([...prefixes].map(({ length }) => length))] };
}

function covers({ topics, prefixes, lengths }: TopicPatterns, topic: string): boolean {
  const identity = identityOf(topic);
  return topics.has(identity) ||
    lengths.some((length) => length <= identity.length && prefixes.has(identity.slice(0, length)));
}

const WSO2: Readonly<Record<Action, readonly string[]>> = {
  register: ["register_topic"],
  deregister: ["deregister_topic"],
  publish: ["update_content", "content_update"],
  subscribe: ["subscribe"],
  unsubscribe: ["subscribe", "unsubscribe"],
};

/** The scopes of WSO2's hub: one for each thing to do, for all topics. */
export function wso2({ scopes }: Client, action: Action): Lack | null {
  if (WSO2[action].some((scope) => scopes.has(scope))) return null;
  return { reason: "scope", text: `the scope ${WSO2[action].join(" or ")}` };
}

/** The roles of MOSIP's hub: named after the event, and a partner's own events are the partner's. */
export function mosip({ roles, name }: Client, action: Action, named: string): Lack | null {
  const topic = identityOf(named);
  const slash = topic.indexOf("/");
  const partner = slash === -1 ? undefined : topic.slice(0, slash);
  const event = topic.slice(slash + 1);
  const lacks = (role: string): Lack | null => roles.has(role) ? null : { reason: "role", text: `the role ${role}` };
  if (!isSubscribing(action)) {
    return lacks(`PUBLISH_${event}_${partner === undefined ? "GENERAL" : "ALL_INDIVIDUAL"}`);
  }
  if (partner === undefined) return lacks(`SUBSCRIBE_${event}_GENERAL`);
  // MOSIP's user id is preferred_username, and no other claim. Keycloak writes it in lower case, whatever the case of the client's id.
  const isPartner = partner !== "" && name !== undefined &&
    lowered(partner) === lowered(name).replace(/^service-account-/, "");
  if (isPartner) return lacks(`SUBSCRIBE_${event}_INDIVIDUAL`);
  return { reason: "partner", text: "to be that partner's own token" };
}

/** In ASCII only: beyond it, different letters have the same lower case. */
function lowered(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isSubscribing(action: Action): boolean {
  return action === "subscribe" || action === "unsubscribe";
}
