// POST /subscriptions/ack, /subscriptions/resume and /dead-letters/replay: what moves a subscription's position (WIRE §5).

import { BodyTooLargeError } from "../../shared/request-body.ts";
import type { Exchange } from "../../shared/serve.ts";
import { jsonOfCore } from "../answers/answers.ts";
import { HubError } from "../answers/hub-error.ts";
import type { CoreClient } from "../core/core-client.ts";
import type { Limits } from "../limits/limits.ts";
import { FORM, FORM_MAX_BYTES, isForm, type Parameters, parseForm } from "../syntax/form.ts";
import { idempotencyKey } from "../syntax/request-headers.ts";
import { parseSubscriptionPair } from "../syntax/subscription-pair.ts";
import { type AdmissionPorts, admit, answering, type Endpoint } from "./admission.ts";

export interface MoveOptions extends AdmissionPorts {
  readonly limits: Pick<Limits, "addressOf" | "admitClient" | "bodies" | "claimOf">;
  readonly core: Pick<CoreClient, "move">;
}

export interface MoveEndpoints {
  readonly ack: Endpoint;
  readonly resume: Endpoint;
  readonly replay: Endpoint;
}

/** What moves, beside the pair and who asks. */
type Move =
  | { readonly kind: "ack"; readonly cursor: string }
  | { readonly kind: "resume"; readonly from?: string }
  | { readonly kind: "replay"; readonly key: string; readonly letter?: string };

export function createMoveEndpoints(options: MoveOptions): MoveEndpoints {
  /** Reads a form, whose bytes a signature covers, and moves. Syntax comes before access (WIRE §1). */
  const moving = (parse: (form: Parameters, headers: Headers) => Move) =>
    answering(async (request, exchange) => {
      if (!isForm(request.headers.get("content-type") ?? "")) {
        throw new HubError("invalid_request", `Content-Type must be ${FORM}.`);
      }
      return await withForm(options.limits, request, exchange, async (body) => {
        const form = parseForm(body);
        const wish = { ...parseSubscriptionPair(form), ...parse(form, request.headers) };
        const { caller } = await admit(options, request, exchange, { topic: wish.topic, body, route: "client_moves" });
        return jsonOfCore(await options.core.move({ ...wish, caller }));
      });
    });
  return { ack: moving(parseAck), resume: moving(parseResume), replay: moving(parseReplay) };
}

function parseAck(form: Parameters): Move {
  const cursor = form.first("cursor") ?? "";
  if (cursor === "") {
    throw new HubError("invalid_request", "cursor is missing; send that of the last message you have.");
  }
  return { kind: "ack", cursor: short("cursor", cursor) };
}

function parseResume(form: Parameters): Move {
  const from = form.first("from") ?? "";
  return from === "" ? { kind: "resume" } : { kind: "resume", from: short("from", from) };
}

function parseReplay(form: Parameters, headers: Headers): Move {
  const key = idempotencyKey(headers);
  if (key === null) {
    throw new HubError("invalid_request", "Idempotency-Key is missing; send one, so that a repeat acts once.");
  }
  const id = form.first("id") ?? "";
  return id === "" ? { kind: "replay", key } : { kind: "replay", key, letter: short("id", id) };
}

/** Reads a form, and answers what it asks for. */
async function withForm(
  limits: MoveOptions["limits"],
  request: Request,
  exchange: Exchange,
  act: (body: Uint8Array) => Promise<Response>,
): Promise<Response> {
  const wish = { maxBytes: FORM_MAX_BYTES, claim: () => limits.claimOf(request, exchange) };
  try {
    return await limits.bodies.read(request, exchange, wish, act);
  } catch (error) {
    if (!(error instanceof BodyTooLargeError)) throw error;
    throw new HubError("too_large", `The form is longer than ${FORM_MAX_BYTES} bytes.`);
  }
}

/** Cursors, times and ids are short; a longer text is not one. */
function short(parameter: string, value: string): string {
  if (value.length <= 256) return value;
  throw new HubError("invalid_request", `${parameter} is longer than 256 characters.`);
}
