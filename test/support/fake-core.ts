// A core that writes down what the edge says and answers as it is told: shared/core-api.ts without a log behind it.

import { CALLER_HEADER, CONTENT_HEADERS, CORE_MAX_HEADER_BYTES, CORE_PATHS } from "../../shared/core-api.ts";
import type {
  Caller,
  ClientIdentity,
  CoreRefusal,
  MoveOperation,
  Operation,
  ResultOperation,
} from "../../shared/core-api.ts";
import { serve } from "../../shared/runtime/serve.ts";
import { eventually } from "./eventually.ts";

/** What a core answers: a status and JSON. */
export interface CoreReply {
  readonly status: number;
  readonly body: unknown;
}

/** One content operation, its fields decoded. */
export interface StoredContent {
  readonly id: string;
  readonly madeAt: number;
  readonly topic: string;
  readonly client: ClientIdentity | null;
  readonly key: string | null;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly traceparent: string;
  readonly body: Buffer;
}

/** A question about a subscription, decoded. */
export interface AskedQuestion {
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly caller: Caller;
  readonly accept: string | null;
}

export interface FakeCore {
  readonly origin: string;
  readonly port: number;
  /** Every operation in order, repeated ones too. */
  readonly operations: readonly Operation[];
  readonly contents: readonly StoredContent[];
  /** Answers instead of "done" (or an intent to verify); null leaves the default. */
  onOperation: (operation: Operation) => CoreReply | null | Promise<CoreReply | null>;
  onContent: (content: StoredContent) => CoreReply | null | Promise<CoreReply | null>;
  onStatus: (topic: string, callback: string) => CoreReply;
  /** Every move in order; answered as the status is. */
  readonly moves: readonly MoveOperation[];
  /** Every question in order; answered as it is told, unless that is null. */
  readonly questions: readonly AskedQuestion[];
  onQuestion: (question: AskedQuestion) => Response | CoreReply | null;
  ready: boolean;
  /** Resolves with the nth result (from 1). */
  result(nth?: number, deadlineMs?: number): Promise<ResultOperation>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A refusal as the core says it. */
export function refusal(status: number, code: CoreRefusal["code"], message: string): CoreReply {
  return { status, body: { code, message } satisfies CoreRefusal };
}

/** Opens a fake core on 127.0.0.1; port 0 takes a free one. Offsets of intents count up from 1. */
export async function openFakeCore(port = 0): Promise<FakeCore> {
  const operations: Operation[] = [];
  const contents: StoredContent[] = [];
  const questions: AskedQuestion[] = [];
  const moves: MoveOperation[] = [];
  let offset = 0;
  const results = () => operations.filter((operation) => operation.kind === "result");

  const answer = async (request: Request): Promise<CoreReply | Response> => {
    const { pathname, searchParams } = new URL(request.url);
    const caller = request.headers.get(CALLER_HEADER);
    if (request.method === "GET" && caller !== null) {
      const question = {
        path: pathname,
        parameters: Object.fromEntries(searchParams),
        caller: JSON.parse(decodeURIComponent(caller)) as Caller,
        accept: request.headers.get("accept"),
      };
      questions.push(question);
      const told = core.onQuestion(question);
      if (told !== null) return told;
    }
    switch (pathname) {
      case CORE_PATHS.operations: {
        const operation = await request.json() as Operation;
        operations.push(operation);
        const isIntent = operation.kind === "intent";
        const ordinary = isIntent ? { kind: "intent", offset: offset += 1, verify: true } : { kind: "done" };
        return await core.onOperation(operation) ?? { status: 200, body: ordinary };
      }
      case CORE_PATHS.messages: {
        const content = await contentOf(request);
        contents.push(content);
        return await core.onContent(content) ?? { status: 200, body: { id: content.id, cursor: "c" } };
      }
      case CORE_PATHS.subscriptions:
        if (request.method === "POST") moves.push(await request.json() as MoveOperation);
        return core.onStatus(searchParams.get("topic") ?? "", searchParams.get("callback") ?? "");
      case "/readyz":
        return { status: core.ready ? 200 : 503, body: {} };
      default:
        return refusal(404, "not_found", "no such path");
    }
  };
  const served = await serve({
    fetch: async (request) => {
      const told = await answer(request);
      if (told instanceof Response) return told;
      const { status, body } = told;
      return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
    },
    hostname: "127.0.0.1",
    port,
    maxHeaderBytes: CORE_MAX_HEADER_BYTES,
  });
  const core: FakeCore = {
    origin: served.url,
    port: served.port,
    operations,
    contents,
    moves,
    questions,
    onQuestion: () => null,
    onOperation: () => null,
    onContent: () => null,
    onStatus: () => refusal(404, "not_found", "No subscription is known for this topic and callback."),
    ready: true,
    result: (nth = 1, deadlineMs = 10_000) =>
      eventually(`result ${nth} at the core`, () => results()[nth - 1], { deadlineMs }),
    close: () => served.close(0),
    [Symbol.asyncDispose]: () => served.close(0),
  };
  return core;
}

async function contentOf(request: Request): Promise<StoredContent> {
  const text = (name: string) => decodeURIComponent(request.headers.get(name) ?? "");
  const more = text(CONTENT_HEADERS.headers);
  const client = text(CONTENT_HEADERS.client);
  return {
    id: text(CONTENT_HEADERS.id),
    madeAt: Number(text(CONTENT_HEADERS.madeAt)),
    topic: text(CONTENT_HEADERS.topic),
    client: client === "" ? null : JSON.parse(client) as ClientIdentity,
    key: request.headers.get(CONTENT_HEADERS.key),
    contentType: text(CONTENT_HEADERS.contentType),
    headers: more === "" ? null : JSON.parse(more) as Record<string, string>,
    traceparent: text(CONTENT_HEADERS.traceparent),
    body: Buffer.from(await request.arrayBuffer()),
  };
}
