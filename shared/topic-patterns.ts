// Lists of topics with patterns (WIRE §1, COMPACT_JSON): `*` in an entry stands for any characters, also for none and for "/".

import { identityOf, isHttpUrl } from "./identity.ts";
import { topicProblem } from "./topic.ts";

/** Whether a topic, in any spelling, is one that the list names. */
export type IsListed = (topic: string) => boolean;

/** Compares identities. Each pattern takes time that grows with its length and the topic's, never with their product. */
export function createIsListed(patterns: readonly string[]): IsListed {
  const identities = patterns.map(patternIdentity);
  const exact = new Set(identities.filter((pattern) => !pattern.includes("*")));
  const matchers = identities.filter((pattern) => pattern.includes("*")).map(matcherOf);
  return (topic) => {
    const identity = identityOf(topic);
    return exact.has(identity) || matchers.some((matches) => matches(identity));
  };
}

/** What `*` is replaced by to see whether a pattern can name a topic: nothing, a letter, a port, a host with its path. */
const STAND_INS = ["", "a", "1", "a/"];

/** Whether there can be a topic that the pattern names: not with a fragment in a URL, say, or with a scheme that no topic has. */
export function canMatch(pattern: string): boolean {
  return STAND_INS.some((some) => topicProblem(pattern.replaceAll("*", some)) === undefined);
}

/** The pattern as it stands in identities (shared/identity.ts). Its parts are compared each for itself. */
function patternIdentity(pattern: string): string {
  if (!isHttpUrl(pattern)) return pattern;
  const [, scheme = "", authority = "", rest = ""] = /^(https?:\/\/)([^/?]*)((?:[/?].*)?)$/is.exec(pattern) ?? [];
  // Lower case, for hosts that no URL's parser takes, as one with a port of `*`.
  const origin = identityOf(`${scheme}${authority}/`).slice(0, -1).toLowerCase();
  // A `*` in the authority may run on into the path, so none is added where the pattern has none.
  const slash = rest.startsWith("/") || (rest === "" && authority.includes("*")) ? "" : "/";
  return origin + slash + rest.split("*").map(pathIdentity).join("*");
}

/** A part of a path or query. A `*` may cut an escape short: what is left of it stays. */
function pathIdentity(part: string): string {
  const [cut = ""] = /%[0-9A-Fa-f]?$/.exec(part) ?? [];
  const base = "http://host/";
  return identityOf(base + part.slice(0, part.length - cut.length)).slice(base.length) + cut.toUpperCase();
}

/** A part of a pattern between two `*`. */
interface Piece {
  readonly text: string;
  /** Per length of a beginning of the text: the length of its longest proper end that is a beginning, too. */
  readonly borders: Uint32Array;
}

function matcherOf(pattern: string): (identity: string) => boolean {
  const [first = "", ...more] = pattern.split("*");
  const last = more.pop() ?? "";
  const pieces = more.filter((text) => text !== "").map((text) => ({ text, borders: bordersOf(text) }));
  return (identity) => {
    const end = identity.length - last.length;
    if (end < first.length || !identity.startsWith(first) || !identity.endsWith(last)) return false;
    // The leftmost place of each piece leaves the most room for the next.
    let at = first.length;
    for (const piece of pieces) {
      at = endOf(piece, identity, at, end);
      if (at < 0) return false;
    }
    return true;
  };
}

/** Where the first occurrence of the piece in text[from, to) ends; -1 if there is none. By Knuth, Morris and Pratt: one look per character. */
function endOf({ text: wanted, borders }: Piece, text: string, from: number, to: number): number {
  let matched = 0;
  for (let at = from; at < to; at++) {
    while (matched > 0 && wanted[matched] !== text[at]) matched = borders[matched]!;
    if (wanted[matched] === text[at]) matched++;
    if (matched === wanted.length) return at + 1;
  }
  return -1;
}

function bordersOf(text: string): Uint32Array {
  const borders = new Uint32Array(text.length + 1);
  let border = 0;
  for (let length = 2; length <= text.length; length++) {
    const next = text[length - 1];
    while (border > 0 && text[border] !== next) border = borders[border]!;
    if (text[border] === next) border++;
    borders[length] = border;
  }
  return borders;
}
