// Lanes and messages for tests of the delivery half, made without a log.
import type { ClientIdentity } from "../../../shared/core-api.ts";
import { Addresses, createTarget, type Recipient, type Target } from "../../../core/delivery/lane/target.ts";
import { Lane, type LaneTerms } from "../../../core/delivery/lane/lane.ts";
import type { Failure } from "../../../core/delivery/lane/outcome.ts";
import type { Message } from "../../../core/messages/message.ts";

export const ADDRESSES = new Addresses({ hubUrl: "http://hub.example/hub", random: Math.random });
export const TOPIC_ID = "dG9waWMtb25lLXRvcGljLW9uZS10b3BpYy1vbmUtdG8";

/** A message of one topic; its body is its offset unless told otherwise. */
export function messageAt(offset: number, more: Partial<Message> = {}): Message {
  return {
    partition: 0,
    offset,
    topicId: TOPIC_ID,
    id: `msg_${offset}`,
    cursor: `cursor_${offset}`,
    keyed: false,
    publishedAt: 1_000,
    body: Buffer.from(String(offset)),
    contentType: "text/plain",
    traceparent: undefined,
    link: undefined,
    extra: [],
    holders: 0,
    held: undefined,
    ...more,
  };
}

/** The target of a subscription that stays as it is. */
export function targetOf(recipient: Recipient, subscriptionId = "id"): Target {
  return createTarget({ addresses: ADDRESSES, subscriptionId, recipientOf: () => recipient });
}

/** Outcomes of attempts: the message is to be sent again; it was refused for what it is. */
export const FAILED: Failure = { kind: "retry", reason: "answered 500", status: 500 };
export const REFUSED: Failure = { kind: "refused", reason: "answered 422", status: 422 };

/** The terms of a renewal that changes nothing but what it is told. */
export function termsOf({ target, expiresAt }: Lane, changes: Partial<LaneTerms> = {}): LaneTerms {
  return { target, concurrency: 1, expiresAt, ...changes };
}

export interface LaneOptions {
  readonly id?: string;
  readonly topicId?: string;
  readonly partition?: number;
  readonly life?: number;
  readonly callback?: string;
  readonly secret?: string;
  readonly concurrency?: number;
  readonly expiresAt?: number;
  readonly position?: number;
  /** Default false: a lane that is well. */
  readonly isNew?: boolean;
  readonly client?: ClientIdentity;
}

export function laneOf(options: LaneOptions = {}): Lane {
  const { id = "lane", topicId = TOPIC_ID, partition = 0, life = 1, concurrency = 1, position = 0 } = options;
  const { callback = "http://127.0.0.1:8080/callback", expiresAt = Infinity, secret, isNew = false, client } = options;
  const target = targetOf({ topic: "topic", callback, secret, ...(client === undefined ? {} : { client }) }, id);
  return new Lane({ id, shard: 0, topicId, partition, life, target, concurrency, expiresAt, position, isNew });
}
