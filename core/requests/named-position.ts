// Which position of a topic's log does a requester name? `hub.start` (WIRE §2); `after`, `since`, `from`, `cursor` and
// `Last-Event-ID` (WIRE §5) are read here, and each refusal names its parameter.
import { isIsoTime, parseIsoTime } from "../../shared/iso-time.ts";
import type { Log } from "../log/log.ts";
import { CursorError, decodeCursor } from "../messages/cursor-text.ts";
import { Refusal } from "./refusal.ts";
import type { Topic } from "./topics.ts";

type Form = "latest" | "earliest" | "time" | "cursor";

/** A parameter that names a position, and the forms that its value may have. */
export interface PositionParameter {
  readonly name: string;
  readonly forms: readonly Form[];
}

export const HUB_START: PositionParameter = { name: "hub.start", forms: ["latest", "earliest", "time", "cursor"] };
export const FROM: PositionParameter = { name: "from", forms: ["earliest", "time", "cursor"] };
export const SINCE: PositionParameter = { name: "since", forms: ["time"] };
/** MOSIP's `since` (WIRE §5). */
export const TIMESTAMP: PositionParameter = { name: "timestamp", forms: ["time"] };
export const AFTER: PositionParameter = { name: "after", forms: ["cursor"] };
export const LAST_EVENT_ID: PositionParameter = { name: "Last-Event-ID", forms: ["cursor"] };
export const CURSOR: PositionParameter = { name: "cursor", forms: ["cursor"] };

const FORM_WORDS: Readonly<Record<Form, string>> = {
  latest: "latest",
  earliest: "earliest",
  time: "an ISO-8601 time",
  cursor: "a cursor",
};
/** A requester's clock may be this far ahead, ms; the end of the log is then its present. */
const CLOCK_SKEW_MS = 300_000;

interface CursorPosition {
  readonly kind: "cursor";
  /** The parameter's name. */
  readonly parameter: string;
  /** The offset after the message that the cursor names. */
  readonly next: number;
}

/** The position that a parameter names; `time` is in ms since 1970. */
export type NamedPosition =
  | { readonly kind: "latest" }
  | { readonly kind: "earliest" }
  | { readonly kind: "time"; readonly time: number }
  | CursorPosition;

/**
 * Reads a parameter's value at `time`, ms since 1970.
 * @throws {Refusal} "invalid_request": none of the parameter's forms, a time that does not exist or is in the future, or a cursor
 * of another topic
 */
export function parsePosition(
  { name, forms }: PositionParameter,
  text: string,
  topic: Topic,
  time: number,
): NamedPosition {
  if (text === "latest" && forms.includes("latest")) return { kind: "latest" };
  if (text === "earliest" && forms.includes("earliest")) return { kind: "earliest" };
  if (forms.includes("time") && (isIsoTime(text) || !forms.includes("cursor"))) {
    return { kind: "time", time: pastTime(name, text, time) };
  }
  return parseCursor({ name, forms }, text, topic);
}

/** Reads the value of a parameter as a cursor. @throws {Refusal} "invalid_request" */
export function parseCursor({ name, forms }: PositionParameter, text: string, topic: Topic): CursorPosition {
  try {
    return { kind: "cursor", parameter: name, next: offsetAfter(text, topic) };
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    const subject = forms.length === 1 ? name : `${name} must be ${listed(forms)};`;
    throw new Refusal("invalid_request", `${subject} ${quoted(text)} ${error.message}`);
  }
}

/**
 * The first offset of the topic's partition that the position includes. `end` is the end of the topic's partition, if it is known.
 * @throws {Refusal} "invalid_request" naming the parameter: a cursor beyond the end
 */
export async function offsetOf(
  position: NamedPosition,
  { partition }: Topic,
  log: Pick<Log, "end" | "positionAt">,
  end?: number,
): Promise<number> {
  switch (position.kind) {
    case "latest":
      return end ?? await log.end("messages", partition);
    case "earliest":
      return 0;
    case "time":
      return await log.positionAt("messages", partition, position.time);
    case "cursor": {
      const { parameter, next } = position;
      if (next <= (end ?? await log.end("messages", partition))) return next;
      throw new Refusal("invalid_request", `${parameter} is beyond the end of the topic`);
    }
  }
}

/**
 * The offset after the one that a cursor names; `id` and `partition` are those of the list that the cursor belongs to.
 * @throws {CursorError} with a sentence that follows the parameter's name
 */
export function offsetAfter(cursor: string, { id, partition }: Topic): number {
  const named = decodeCursor(id, cursor);
  if (named.partition !== partition) throw new CursorError("is not a cursor of this hub");
  return named.offset + 1;
}

/** @throws {Refusal} "invalid_request" */
function pastTime(parameter: string, text: string, present: number): number {
  const subject = `${parameter} ${quoted(text)}`;
  if (!isIsoTime(text)) throw new Refusal("invalid_request", `${subject} must be an ISO-8601 time with Z or an offset`);
  const time = parseIsoTime(text);
  if (Number.isNaN(time)) throw new Refusal("invalid_request", `${subject} is a time that does not exist`);
  if (time > present + CLOCK_SKEW_MS) throw new Refusal("invalid_request", `${subject} is in the future`);
  return time;
}

function quoted(text: string): string {
  return `"${text.slice(0, 64)}"`;
}

function listed(forms: readonly Form[]): string {
  const words = forms.map((form) => FORM_WORDS[form]);
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
