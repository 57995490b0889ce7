// A core without a log: it records what the edge asks and answers as a test tells it (shared/core-api.ts). Its door is a real
// core's, so it refuses what a core refuses; it opens secrets as a core does.

import { type ContentHead, openFrame } from "../../../shared/content-frame.ts";
import { CALLER_HEADER, CORE_MAX_HEADER_BYTES, CORE_PATHS } from "../../../shared/core-api.ts";
import type {
  Caller,
  ClientIdentity,
  CoreRefusal,
  MoveOperation,
  Operation,
  ResultOperation,
} from "../../../shared/core-api.ts";
import { createDoor } from "../../../core/face/door.ts";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { refusalOf } from "../../../core/requests/refusal.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import { EDGES, SECRETS } from "../keys.ts";
import { eventually } from "../eventually.ts";

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
  /** The answer to an operation; null means the default, "done" or an intent to verify. */
  onOperation: (operation: Operation) => CoreReply | null | Promise<CoreReply | null>;
  onContent: (content: StoredContent) => CoreReply | null | Promise<CoreReply | null>;
  onStatus: (topic: string, callback: string) => CoreReply;
  /** Every move in order; `onStatus` answers it. */
  readonly moves: readonly MoveOperation[];
  /** Every question about a subscription in order; `onQuestion` answers it, and null means the default. */
  readonly questions: readonly AskedQuestion[];
  onQuestion: (question: AskedQuestion) => Response | CoreReply | null;
  /** Called before a session is opened; it is opened when this has resolved. */
  onSession: () => void | Promise<void>;
  ready: boolean;
  /** Resolves with the nth result (from 1). */
  result(nth?: number, deadlineMs?: number): Promise<ResultOperation>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A refusal as the core answers it. */
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

  const door = createDoor({ edges: EDGES, sealingKeys: SECRETS.sealingKeys, clock: Date.now, onRefused: () => {} });

  const answer = async (request: Request, target: string | undefined): Promise<CoreReply | Response> => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === CORE_PATHS.session) {
      await core.onSession();
      return { status: 200, body: await door.open(request) };
    }
    if (pathname === "/readyz") return { status: core.ready ? 200 : 503, body: {} };
    const body = Buffer.from(await door.admit(request, target, 64 * 1024 * 1024));
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
        const operation = opened(JSON.parse(body.toString()) as Operation);
        operations.push(operation);
        const isIntent = operation.kind === "intent";
        const ordinary = isIntent ? { kind: "intent", offset: offset += 1, verify: true } : { kind: "done" };
        return await core.onOperation(operation) ?? { status: 200, body: ordinary };
      }
      case CORE_PATHS.messages: {
        const content = contentOf(body);
        contents.push(content);
        return await core.onContent(content) ?? { status: 200, body: { id: content.id, cursor: "c" } };
      }
      case CORE_PATHS.subscriptions:
        if (request.method === "POST") moves.push(JSON.parse(body.toString()) as MoveOperation);
        return core.onStatus(searchParams.get("topic") ?? "", searchParams.get("callback") ?? "");
      default:
        return refusal(404, "not_found", "no such path");
    }
  };
  const served = await serve({
    fetch: async (request, exchange) => {
      const told = await answer(request, exchange?.target).catch((error: unknown) => {
        const refused = refusalOf(error);
        if (refused === undefined) throw error;
        return refused;
      });
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
    onSession: () => {},
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

function opened(operation: Operation): Operation {
  if (operation.kind !== "intent") return operation;
  const { secret, sealedToken, ...rest } = operation;
  const open = (sealed: string) => SECRETS.open(sealed, subscriptionIdOf(operation.topic, operation.callback));
  return {
    ...rest,
    ...(secret === undefined ? {} : { secret: open(secret) }),
    ...(sealedToken === undefined ? {} : { verifyToken: open(sealedToken) }),
  };
}

function contentOf(frame: Buffer): StoredContent {
  const { head, body } = openFrame(frame)!;
  const { client = null, key = null, headers = null, traceparent = "", ...fields } = head as ContentHead;
  return { ...fields, client, key, headers, traceparent, body: Buffer.from(body) };
}
