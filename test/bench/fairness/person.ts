// One requester of the bench: a loopback address of its own, from which its requests come.
import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

export interface Person {
  readonly address: string;
  /** A form, or any other body; a GET without one. Rejects if there is no complete answer in time. */
  readonly ask: (url: string, options?: AskOptions) => Promise<Answer>;
  readonly form: (url: string, fields: readonly (readonly [string, string])[]) => Promise<Answer>;
  /** Opens a stream, and ends it with its first event; `onOpen` runs when the hub has let it in. */
  readonly firstOf: (url: string, options: AskOptions, onOpen: () => void) => Promise<"event" | "lost" | "refused">;
  readonly close: () => void;
}

export interface AskOptions {
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 20_000;

/** `address`: any of 127.0.0.0/8. */
export function createPerson(address: string, connections = Infinity): Person {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const ask: Person["ask"] = (url, { body, headers = {}, deadlineMs = DEADLINE_MS } = {}) =>
    new Promise((resolve, reject) => {
      const sent = request(url, {
        agent,
        localAddress: address,
        method: body === undefined ? "GET" : "POST",
        headers: body === undefined ? headers : { ...headers, "content-length": Buffer.byteLength(body) },
        signal: AbortSignal.timeout(deadlineMs),
      }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => void (text += part));
        response.on("error", reject);
        response.on(
          "end",
          () => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], text }),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  return {
    address,
    ask,
    form: (url, fields) =>
      ask(url, {
        body: new URLSearchParams(fields.map(([name, value]) => [name, value])).toString(),
        headers: { "content-type": "application/x-www-form-urlencoded" },
      }),
    firstOf: (url, { headers = {}, deadlineMs = DEADLINE_MS }, onOpen) =>
      new Promise((resolve) => {
        const sent = request(url, { agent, localAddress: address, headers, signal: AbortSignal.timeout(deadlineMs) });
        const end = (outcome: "event" | "lost" | "refused") => {
          resolve(outcome);
          sent.destroy();
        };
        sent.on("error", () => end("lost"));
        sent.on("response", (response) => {
          response.on("error", () => {});
          if (response.statusCode !== 200) return end("refused");
          response.on("data", (part: Buffer) => {
            if (part.includes("data:")) end("event");
          });
          onOpen();
        });
        sent.end();
      }),
    close: () => agent.destroy(),
  };
}

/** Subscribes; yields the hub's answer. */
export async function subscribe(person: Person, hub: string, topic: string, callback: string): Promise<Answer> {
  return await person.form(hub, [["hub.mode", "subscribe"], ["hub.topic", topic], ["hub.callback", callback]]);
}
