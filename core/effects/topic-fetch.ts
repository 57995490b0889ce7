// One fetch of a pinged topic: a conditional GET, whose answer becomes an ordinary message if it brought something new (WIRE §3).
import { createHash } from "node:crypto";
import type { Compact } from "../../shared/compact-json.ts";
import type { Outbound, OutboundAnswer } from "../../shared/outbound/outbound.ts";
import { headerBytes, MESSAGE_HEAD_MAX_BYTES, topicBytes } from "../../shared/request-head.ts";
import type { Log } from "../log/log.ts";
import { MESSAGE_HEADERS } from "../messages/message.ts";
import type { Fetched, TopicRecord } from "../state/records.ts";
import { advertisedLinks, linkHeader } from "./advertised-links.ts";

export interface TopicFetchOptions {
  readonly log: Pick<Log, "append">;
  readonly outbound: Outbound;
  readonly hubUrl: string;
  readonly maxBytes: number;
  /** COMPACT_JSON. */
  readonly compact: Compact;
  /** Makes a trace context for the deliveries of what is fetched. */
  readonly traceparent: () => string;
  readonly signal: AbortSignal;
}

/** A topic to fetch. */
export interface FetchJob {
  readonly topicId: string;
  readonly topic: TopicRecord;
  /** The `events` offset of the ping that it answers. */
  readonly ping: number;
  /** On whose behalf, of all who pinged. */
  readonly requester?: string;
  /** Whether the topic may be asked, and its answer published (A3.4). */
  readonly mayAct: () => boolean;
}

/** `final`: another try would bring the same. */
export type FetchResult =
  | { readonly kind: "fetched"; readonly fetched: Fetched | undefined }
  | { readonly kind: "failed"; readonly reason: string; readonly final: boolean };

export type FetchTopic = (job: FetchJob) => Promise<FetchResult>;

const DEADLINE_MS = 30_000;
const REDIRECTS = 3;
const MOVED: FetchResult = { kind: "failed", reason: "its shard may belong to another process", final: false };

export function createFetchTopic(options: TopicFetchOptions): FetchTopic {
  return async (job) => {
    if (!job.mayAct()) return MOVED;
    const got = await get(job, options);
    if (got.kind === "failed") {
      const { code, reason } = got;
      return { kind: "failed", reason: `${code}: ${reason}`, final: code === "forbidden" || code === "too_large" };
    }
    const { topic } = job.topic;
    const answer = { ...got, body: options.compact(topic, got.body, got.headers["content-encoding"]) };
    if (answer.status === 304) return { kind: "fetched", fetched: job.topic.fetched };
    // 206 (RFC 9110 §15.3.7): a part of the document, though none was asked for.
    if (answer.status < 200 || answer.status > 299 || answer.status === 206) {
      const again = answer.status >= 500 || [408, 425, 429].includes(answer.status);
      return { kind: "failed", reason: `answered ${answer.status}`, final: !again };
    }
    // There is no document now. What was delivered last stays known, so that it is not delivered again when it comes back unchanged.
    if (hasNoDocument(answer)) return { kind: "fetched", fetched: job.topic.fetched };
    const own = ownHeaders(answer, topic);
    if (own.left < 0) return { kind: "failed", reason: own.problem, final: true };
    // This process may have slept meanwhile: then another process has fetched the same answer, and perhaps a later one.
    if (!job.mayAct()) return MOVED;
    try {
      return { kind: "fetched", fetched: await publish(job, answer, own, options) };
    } catch (error) {
      return { kind: "failed", reason: `the log did not take it: ${String(error)}`, final: false };
    }
  };
}

type Answer = OutboundAnswer & { readonly kind: "answer" };

/** RFC 9110 §15.3.5, §15.3.6: 204 and 205 have no content. An empty document, packed or not, is none either: nobody would take it. */
function hasNoDocument({ status, body }: Answer): boolean {
  return status === 204 || status === 205 || body.length === 0;
}

function get(
  { topic: { topic: url, fetched }, requester }: FetchJob,
  options: TopicFetchOptions,
): Promise<OutboundAnswer> {
  const { etag, lastModified } = fetched ?? {};
  return options.outbound.call({
    path: "fetch",
    method: "GET",
    url,
    requester,
    headers: {
      accept: "*/*",
      ...(etag === undefined ? {} : { "if-none-match": etag }),
      ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
    },
    deadlineMs: DEADLINE_MS,
    maxBytes: options.maxBytes,
    maxRedirects: REDIRECTS,
    signal: options.signal,
  });
}

/** The headers of an answer that deliveries cannot do without. */
interface OwnHeaders {
  readonly contentType: string;
  /** The outbound client has decoded the encodings that it knows: this one is not known. */
  readonly encoding: string | undefined;
  /** How many bytes of a delivery's headers they leave for links (WIRE §3); below 0: they do not fit. */
  readonly left: number;
  /** Why they do not fit. */
  readonly problem: string;
}

function ownHeaders({ headers }: Answer, topic: string): OwnHeaders {
  const { "content-type": type, "content-encoding": encoding } = headers;
  const contentType = type || "application/octet-stream";
  const parts: readonly (readonly [string, number])[] = [
    ["Content-Type", headerBytes("content-type", contentType)],
    ["Content-Encoding", encoding === undefined ? 0 : headerBytes("content-encoding", encoding)],
  ];
  const [name, bytes] = parts.reduce((longest, part) => part[1] > longest[1] ? part : longest);
  // The topic stands in `Link` in any case.
  const left = parts.reduce((most, part) => most - part[1], MESSAGE_HEAD_MAX_BYTES - topicBytes(topic));
  return { contentType, encoding, left, problem: `its ${name} has ${bytes} bytes, too long to be delivered` };
}

/** Appends the document, unless its bytes and type are those of the last fetch. */
async function publish(
  { topicId, topic, ping }: FetchJob,
  answer: Answer,
  own: OwnHeaders,
  options: TopicFetchOptions,
) {
  const { contentType } = own;
  const fetched = fetchedOf(answer, contentType);
  if (topic.fetched?.sha256 === fetched.sha256) return fetched;
  // A fetch that is repeated after a crash brings the same id for the same ping and bytes, and so no second message.
  const id = createHash("sha256").update(`${topicId}\0${ping}\0${fetched.sha256}`).digest("base64url").slice(0, 22);
  const extra = extraHeaders(answer, own, options.hubUrl, topic.topic);
  await options.log.append("messages", {
    key: topicId,
    value: answer.body,
    headers: {
      [MESSAGE_HEADERS.id]: `msg_${id}`,
      [MESSAGE_HEADERS.contentType]: contentType,
      [MESSAGE_HEADERS.topic]: topic.topic,
      [MESSAGE_HEADERS.traceparent]: options.traceparent(),
      ...(Object.keys(extra).length === 0 ? {} : { [MESSAGE_HEADERS.extra]: JSON.stringify(extra) }),
    },
  });
  return fetched;
}

function fetchedOf({ body, headers }: Answer, contentType: string): Fetched {
  const etag = repeatable(headers["etag"]);
  const lastModified = repeatable(headers["last-modified"]);
  return {
    sha256: createHash("sha256").update(contentType).update("\0").update(body).digest("hex"),
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
}

function extraHeaders(
  { body, headers, url }: Answer,
  { contentType, encoding, left }: OwnHeaders,
  hubUrl: string,
  topic: string,
) {
  const advertised = advertisedLinks({ link: utf8(headers["link"]), contentType, body, base: url });
  const link = linkHeader(advertised, { hubUrl, topic, most: left + topicBytes(topic) });
  return {
    ...(link === undefined ? {} : { link }),
    ...(encoding === undefined ? {} : { "content-encoding": encoding }),
  };
}

/** A validator that can be sent back unchanged; any other would make all later conditional requests fail. */
function repeatable(validator: string | undefined): string | undefined {
  return validator !== undefined && /^[\x20-\x7e]{1,512}$/.test(validator) ? validator : undefined;
}

/** A header's characters are bytes; those of a URL are UTF-8. */
function utf8(header: string | undefined): string | undefined {
  return header === undefined ? undefined : Buffer.from(header, "latin1").toString("utf8");
}
