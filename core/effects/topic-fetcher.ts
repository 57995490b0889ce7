// A ping says that a topic changed: it is fetched, and what it is now becomes an ordinary message (WIRE §3).
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import pLimit, { type LimitFunction } from "p-limit";
import { parseHttpUrl } from "../../shared/http-url.ts";
import type { Outbound, OutboundAnswer } from "../../shared/outbound/outbound.ts";
import { pause } from "../../shared/pause.ts";
import type { Fetched, FetchOwed, TopicRecord } from "../state/records.ts";
import { MESSAGE_HEADERS } from "../messages/message.ts";
import type { Log } from "../log/log.ts";
import { advertisedLinks, linkHeader } from "./advertised-links.ts";

const logger = getLogger(["tidings", "core", "topic-fetch"]);

export interface TopicFetcherOptions {
  readonly log: Log;
  readonly outbound: Outbound;
  readonly hubUrl: string;
  readonly maxBytes: number;
  /** Makes a trace context for the deliveries of what is fetched. */
  readonly traceparent: () => string;
  readonly signal: AbortSignal;
}

export interface TopicFetcher {
  /**
   * Fetches until it succeeds or has been tried 5 times; `done` is told which ping that answers and what was fetched. Nothing is
   * asked for or published while `mayAct` says no (A3.4).
   */
  fetch(
    topicId: string,
    topic: TopicRecord,
    done: (ping: number, fetched: Fetched | undefined) => void,
    mayAct?: () => boolean,
  ): void;
  /** Another ping came: a fetch under way that fails is tried again at once. */
  hurry(topicId: string): void;
}

const DEADLINE_MS = 30_000;
const REDIRECTS = 3;
/** Each may hold a whole document; those of one site leave room for others. */
export const FETCHES_AT_ONCE = 64;
export const FETCHES_PER_ORIGIN = 8;
/** 5 tries within an hour. */
const PAUSES_MS = [10_000, 60_000, 600_000, 2_400_000];

type Attempt =
  | { readonly kind: "fetched"; readonly fetched: Fetched | undefined }
  | { readonly kind: "failed"; readonly reason: string; readonly final: boolean };

const MOVED: Attempt = { kind: "failed", reason: "its shard may be another process's", final: false };

export function createTopicFetcher(options: TopicFetcherOptions): TopicFetcher {
  const hurrying = new Map<string, AbortController>();
  const limit = pLimit(FETCHES_AT_ONCE);
  const origins = new Map<string, LimitFunction>();

  async function run(
    topicId: string,
    topic: TopicRecord,
    owed: FetchOwed,
    mayAct: () => boolean,
  ): Promise<Fetched | undefined> {
    try {
      for (let tries = 0;; tries++) {
        // From before the try: another ping while it is under way makes the pause after it needless.
        const hurry = new AbortController();
        hurrying.set(topicId, hurry);
        const attempt = await limited(topic.topic, () => attemptFetch(topicId, topic, owed, mayAct));
        if (attempt.kind === "fetched") return attempt.fetched;
        const pauseMs = PAUSES_MS[tries];
        logger.info("Topic {topic} could not be fetched: {reason}", { topic: topic.topic, reason: attempt.reason });
        if (attempt.final || pauseMs === undefined) return undefined;
        await pause(pauseMs, AbortSignal.any([hurry.signal, options.signal]));
        if (options.signal.aborted) return undefined;
      }
    } finally {
      hurrying.delete(topicId);
    }
  }

  async function limited<T>(url: string, task: () => Promise<T>): Promise<T> {
    const key = originOf(url);
    let ofOrigin = origins.get(key);
    if (ofOrigin === undefined) origins.set(key, ofOrigin = pLimit(FETCHES_PER_ORIGIN));
    try {
      return await ofOrigin(() => limit(task));
    } finally {
      if (ofOrigin.activeCount + ofOrigin.pendingCount === 0) origins.delete(key);
    }
  }

  async function attemptFetch(
    topicId: string,
    topic: TopicRecord,
    owed: FetchOwed,
    mayAct: () => boolean,
  ): Promise<Attempt> {
    if (!mayAct()) return MOVED;
    const { etag, lastModified } = topic.fetched ?? {};
    const answer = await options.outbound.call({
      path: "fetch",
      method: "GET",
      url: topic.topic,
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
    if (answer.kind === "failed") {
      const { code, reason } = answer;
      return { kind: "failed", reason: `${code}: ${reason}`, final: code === "forbidden" || code === "too_large" };
    }
    if (answer.status === 304) return { kind: "fetched", fetched: topic.fetched };
    if (answer.status < 200 || answer.status > 299) {
      const again = answer.status >= 500 || [408, 425, 429].includes(answer.status);
      return { kind: "failed", reason: `answered ${answer.status}`, final: !again };
    }
    // It may have slept meanwhile: another has fetched this by now, and perhaps what came after.
    if (!mayAct()) return MOVED;
    try {
      return { kind: "fetched", fetched: await publish(topicId, topic, owed, answer) };
    } catch (error) {
      return { kind: "failed", reason: `the log did not take it: ${String(error)}`, final: false };
    }
  }

  async function publish(
    topicId: string,
    topic: TopicRecord,
    owed: FetchOwed,
    answer: OutboundAnswer & { kind: "answer" },
  ): Promise<Fetched> {
    const contentType = answer.headers["content-type"] ?? "application/octet-stream";
    const sha256 = createHash("sha256").update(contentType).update("\0").update(answer.body).digest("hex");
    const etag = repeatable(answer.headers["etag"]);
    const lastModified = repeatable(answer.headers["last-modified"]);
    const fetched: Fetched = {
      sha256,
      ...(etag === undefined ? {} : { etag }),
      ...(lastModified === undefined ? {} : { lastModified }),
    };
    // Unchanged bytes are not news.
    if (topic.fetched?.sha256 === sha256) return fetched;
    const link = linkHeader(
      advertisedLinks({ link: utf8(answer.headers["link"]), contentType, body: answer.body, base: answer.url }),
      options.hubUrl,
      topic.topic,
    );
    // Only where the bytes still are in an encoding: one that is not known here.
    const encoding = answer.headers["content-encoding"];
    const extra = {
      ...(link === undefined ? {} : { link }),
      ...(encoding === undefined ? {} : { "content-encoding": encoding }),
    };
    // The same ping and bytes have the same id, so that a fetch repeated after a crash is no second message.
    const id = createHash("sha256").update(`${topicId}\0${owed.ping}\0${sha256}`).digest("base64url").slice(0, 22);
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

  return {
    fetch(topicId, topic, done, mayAct = () => true) {
      const owed = topic.fetchOwed;
      if (owed === undefined) return;
      run(topicId, topic, owed, mayAct).then(
        (fetched) => {
          // Stopping: it stays owed, and is fetched after the next start.
          if (!options.signal.aborted || fetched !== undefined) done(owed.ping, fetched);
        },
        (error: unknown) => {
          logger.error("Fetching topic {topic} failed: {error}", { topic: topic.topic, error });
          done(owed.ping, undefined);
        },
      );
    },
    hurry: (topicId) => hurrying.get(topicId)?.abort(),
  };
}

/** A validator that can be sent back as it is; another would fail every conditional request from now on. */
function repeatable(validator: string | undefined): string | undefined {
  return validator !== undefined && /^[\x20-\x7e]{1,1024}$/.test(validator) ? validator : undefined;
}

/** A header's characters are bytes; those of a URL are UTF-8. */
function utf8(header: string | undefined): string | undefined {
  return header === undefined ? undefined : Buffer.from(header, "latin1").toString("utf8");
}

function originOf(url: string): string {
  try {
    return parseHttpUrl(url).origin;
  } catch {
    return "";
  }
}
