// The books of a run: what publishers sent and what the hub answered, what subscribers wished, answered and got, and each
// fault. The harness writes them as things happen, with times by `performance.now()` of one process. It never asks the hub.

/** One try to publish. A repeated publish is another message: the first may be in the log as well. */
export interface Message {
  /** Publisher, number and try; it stands in the body. */
  readonly key: string;
  readonly topic: string;
  readonly body: string;
  readonly sentAt: number;
  /** When the 2xx had been read; Infinity without one: the message may be in the log or not. */
  ackedAt: number;
  /** The `webhook-id` of the 2xx. */
  id: string | undefined;
}

/** What a subscriber wants of one subscription. It asks until the hub answers, and confirms only its newest wish. */
export interface Wish {
  /** Unique in a book; it travels as `hub.verify_token`. */
  readonly number: number;
  /** `gone`: it answered 410. */
  readonly mode: "subscribe" | "unsubscribe" | "gone";
  readonly secret: string;
  /** Before the first request went out. */
  readonly madeAt: number;
  /** The times when a yes (a challenge's echo, a 410) had been handed to the socket. */
  readonly answeredAt: number[];
}

/** One attempt to deliver, as it came. */
export interface Arrival {
  readonly key: string;
  readonly id: string;
  /** The message's offset in the log, by `X-Hub-Cursor`. */
  readonly offset: number;
  /** The body is what was published. */
  readonly intact: boolean;
  /** The secret that both signatures were made with; undefined if it is none of this subscription's. */
  readonly signedWith: string | undefined;
  readonly at: number;
  /** What was answered, and when it had been handed to the socket; undefined if it never was. */
  status: number | undefined;
  answeredAt: number | undefined;
}

/** One subscription. */
export interface Pair {
  readonly name: string;
  readonly topic: string;
  readonly callback: string;
  readonly wishes: Wish[];
  readonly arrivals: Arrival[];
}

export interface Fault {
  /** `harness`: this process itself was held up, so its own times mean little. */
  readonly target: "edge" | "core" | "broker" | "harness";
  /** `ended`: the process ended by itself, and was started again. `joined`, `left`: a spare process came or went. */
  readonly kind: "killed" | "asleep" | "restarted" | "joined" | "left" | "ended" | "held up";
  readonly from: number;
  /** When it runs again; Infinity until then. */
  to: number;
  /** Others of its kind go on meanwhile, and take over its work (ARCHITECTURE §3). */
  readonly shared?: boolean;
}

/** A request that was answered 503 or 429, or that got no complete answer: the client tries again. */
export interface Refusal {
  readonly status: number | undefined;
  readonly at: number;
}

export interface Book {
  readonly messages: Map<string, Message>;
  readonly byTopic: Map<string, Message[]>;
  readonly pairs: Pair[];
  readonly faults: Fault[];
  readonly refusals: Refusal[];
  /** Answers that no client should get. */
  readonly unexpected: string[];
}

export function createBook(): Book {
  return { messages: new Map(), byTopic: new Map(), pairs: [], faults: [], refusals: [], unexpected: [] };
}

/** Writes down a message that is about to be sent. */
export function noteMessage(book: Book, key: string, topic: string, body: string, sentAt: number): Message {
  const message: Message = { key, topic, body, sentAt, ackedAt: Infinity, id: undefined };
  book.messages.set(key, message);
  const ofTopic = book.byTopic.get(topic);
  if (ofTopic === undefined) book.byTopic.set(topic, [message]);
  else ofTopic.push(message);
  return message;
}
