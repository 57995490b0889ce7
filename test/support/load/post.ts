// One POST to the hub's endpoint on a kept connection, and what the books say of refusals.
import { request as httpRequest } from "node:http";
import type { Book } from "./book.ts";
import type { Session } from "./session.ts";

const ANSWER_DEADLINE_MS = 20_000;
/** A client that was refused asks again after `AGAIN_MS`, and gives up after `PATIENCE_MS`. */
export const AGAIN_MS = 25;
export const PATIENCE_MS = 90_000;

export interface Reply {
  readonly status: number;
  /** `webhook-id` of a publish. */
  readonly id: string | undefined;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

/** Notes an answer that is not a success. WIRE §1: a 503 or 429 says when to come again; any other answer is unexpected. */
export function noteRefusal(book: Book, what: string, reply: Reply | undefined, passing: readonly number[]): void {
  if (reply === undefined || (passing.includes(reply.status) && reply.retryAfter !== undefined)) {
    book.refusals.push({ status: reply?.status, at: performance.now() });
  } else book.unexpected.push(`${what} was answered ${reply.status} ${reply.text}`);
}

/** Posts to the edge whose turn it is; resolves to undefined without a complete answer. */
export function post(
  { agent, nextHub }: Session,
  query: string,
  type: string,
  body: string,
): Promise<Reply | undefined> {
  const url = `${nextHub().url}${query}`;
  return new Promise((resolve) => {
    const headers = { "content-type": type, "content-length": String(Buffer.byteLength(body)) };
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const request = httpRequest(url, { method: "POST", headers, agent, signal }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", () => resolve(undefined));
      response.on("close", () => resolve(undefined));
      response.on("end", () => {
        const id = response.headers["webhook-id"];
        resolve({
          status: response.statusCode ?? 0,
          id: typeof id === "string" ? id : undefined,
          retryAfter: response.headers["retry-after"],
          text: Buffer.concat(parts).toString("utf8"),
        });
      });
    });
    request.on("error", () => resolve(undefined));
    request.end(body);
  });
}
